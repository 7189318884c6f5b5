"""Read a results folder whole, without changing it: its grid, records and costs, and their DataFrames.

Imports no torch, and pandas only for the tables.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nin_bench.files import DamagedFileError
from nin_bench.results.cost_entry import CostEntry
from nin_bench.results.folder import ResultsFolder
from nin_bench.results.former import FormerCell, describe_former, former_cells
from nin_bench.results.probes import ProbeFile
from nin_bench.results.records import Record
from nin_bench.results.schema import ResolvedGrid

if TYPE_CHECKING:
    import pandas as pd

_NAMES = ("cell_id", "variant_id", "label", "seed")


@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """A results folder as read: what the report and a user's own analysis start from."""

    folder: Path
    grid: ResolvedGrid
    records: list[Record]
    """Readable records of planned cells, in the grid's order."""
    rows: list[dict[str, Any]]
    """One per planned cell: cell_id, variant_id, label, seed, outcome ("missing" where there is no record),
    error, then its metrics."""
    cost_entries: dict[str, CostEntry]
    """All that was measured of each variant on the grid's machine, by variant_id: the one on which it was last
    run or measured."""
    left_out: list[str] = field(default_factory=list)
    """A sentence for each file that was not used."""
    former: list[FormerCell] = field(default_factory=list)
    """Cells that have a record and are no longer in the grid."""
    probes: dict[str, ProbeFile] = field(default_factory=dict)
    """What trained networks answered to the grid's probes, by cell_id; empty if it has none."""

    def __repr__(self) -> str:
        outcomes = Counter(row["outcome"] for row in self.rows)
        counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
        return f"Results({str(self.folder)!r}, {len(self.rows)} cells: {counts})"

    # Tables are made when they are asked for: `status` needs none, and waits for no pandas.

    @cached_property
    def cells(self) -> "pd.DataFrame":
        """`rows`, with a column per metric; error is text, or what pandas has for none."""
        return _frame(self.rows)

    @cached_property
    def history(self) -> "pd.DataFrame":
        """One row per recorded epoch: cell_id, variant_id, label, seed, then what the epoch measured."""
        names = {row["cell_id"]: {key: row[key] for key in _NAMES} for row in self.rows}
        return _frame(
            [{**names[record.cell_id], **epoch.known()} for record in self.records for epoch in record.history]
        )

    @cached_property
    def costs(self) -> "pd.DataFrame":
        """One row per variant of `cost_entries`: variant_id, label, the headline figures, named as metrics are."""
        variants = self.grid.variants_by_id
        return _frame(
            [
                {"variant_id": variant_id, "label": variants[variant_id].label, **entry.headline()}
                for variant_id, entry in self.cost_entries.items()
            ],
            ("variant_id", "label"),
        )


def load_results(folder: Path | str) -> Results:
    """Read one `<root>/<grid>/<profile>` without changing it.

    Raises:
        ResultsError: the folder holds no readable grid.json. Damaged records raise nothing: they are left
            out and told in `Results.left_out`.
    """
    results = ResultsFolder(Path(folder))
    grid = results.read_grid()
    records, rows, left_out = [], [], []
    for cell in grid.cells:
        row = {key: getattr(cell, key) for key in _NAMES}
        file = f"cells/{cell.cell_id}.json"
        try:
            record = results.read_record(cell.cell_id)
        except DamagedFileError as damage:
            left_out.append(f"{file} was left out: it {damage}.")
            record = None
        if record is not None and not record.is_of(grid.planned_cells[cell.cell_id]):
            left_out.append(
                f"{file} was left out: a default has changed since, so it is of another experiment; the next run "
                "replaces it."
            )
            record = None
        if record is None:
            rows.append({**row, "outcome": "missing", "error": None})
            continue
        records.append(record)
        rows.append({**row, "outcome": record.outcome, "error": record.attempts[-1].error, **dict(record.metrics)})
    former = former_cells(results, grid)
    if sentence := describe_former(former):
        left_out.append(f"{sentence}.")
    probes = {}
    for record in records if grid.probes else ():
        try:
            if (answered := results.read_probes(record)) is not None:
                probes[record.cell_id] = answered
        except DamagedFileError as damage:
            left_out.append(f"probes/{record.cell_id}.json was left out: it {damage}.")
    entries, damaged = _cost_entries(results, grid)
    return Results(
        folder=results.path,
        grid=grid,
        records=records,
        rows=rows,
        cost_entries=entries,
        left_out=[*left_out, *damaged],
        former=former,
        probes=probes,
    )


def _cost_entries(results: ResultsFolder, grid: ResolvedGrid) -> tuple[dict[str, CostEntry], list[str]]:
    """What the grid's machine measured of each variant, and a sentence for each file that was not used."""
    entries, left_out = {}, []
    fingerprint = grid.machine.fingerprint if grid.machine else ""
    for variant_id in grid.variants_by_id:
        try:
            entry = results.read_cost_entry(variant_id, fingerprint)
        except DamagedFileError as damage:
            left_out.append(f"costs/{variant_id}.json was left out: it {damage}.")
            continue
        if entry is not None:
            entries[variant_id] = entry
    return entries, left_out


def _frame(rows: list[dict[str, Any]], empty: Iterable[str] = _NAMES) -> "pd.DataFrame":
    import pandas as pd

    columns = dict.fromkeys(key for row in rows for key in row) or dict.fromkeys(empty)
    return pd.DataFrame({key: [row.get(key) for row in rows] for key in columns})
