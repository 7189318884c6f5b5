"""What a grid asks for, what of it is done, and what the rest will take. Imports no torch."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal

from nin_bench.cell import Cell, DataSpec
from nin_bench.checkpoint import Checkpoints
from nin_bench.errors import ResultsError, some_of
from nin_bench.estimates import Estimate, ImageCounts, estimate_cell
from nin_bench.files import DamagedFileError
from nin_bench.grid import Grid, Variant
from nin_bench.looks import SeedsUntilDecided
from nin_bench.more_epochs import KeptState, ShorterCells
from nin_bench.results import FINAL_OUTCOMES, Record, ResultsFolder
from nin_bench.results.cost_entry import CostEntry
from nin_bench.results.probes import Probes, ProbeState
from nin_bench.results.sharing import OtherFolders, SharedRecord, device_kind

State = Literal["missing", "done", "reuse", "again", "continue", "retry", "outdated"]
"""`missing`: no readable record. `done`: final. `reuse`: another results folder has a final record, which is taken
over. `again`: final, and wanted afresh. `continue`: not final, and has a checkpoint, or the kept state of fewer
epochs, to go on from. `retry`: ended in a way that may pass. `outdated`: its record or its checkpoint is of
another resolved cell, since a default has changed, or of other code of its model."""

Need = Literal["now", "if undecided", "no"]
"""Whether a cell is needed, where seeds are trained until claims are decided. `if undecided`: only if a look
before it leaves a claim open. `no`: every claim that it could serve is decided."""


@dataclass(frozen=True)
class ModelCode:
    """The code that builds a model today."""

    digest: str | None
    """None if its source cannot be read."""
    changed: Sequence[str] = ()
    """What differs from the code of the folder's last run, by `module.name`, as far as that is known."""

    def is_of(self, record: Record) -> bool:
        """Whether a record's model was built with this code; yes, where one of the two is not known."""
        return None in (self.digest, record.code_digest) or self.digest == record.code_digest


@dataclass(frozen=True)
class PlannedCell:
    """A cell, and what the results folder knows of it."""

    cell: Cell
    state: State
    outcome: str | None = None
    record: Record | None = None
    """The earlier record, where a further attempt goes on from it."""
    num_epochs_saved: int | None = None
    """Epochs that its checkpoint holds, where it has one to go on from."""
    kept: KeptState | None = None
    """Of fewer epochs, where that is what it goes on from."""
    reason: str | None = None
    """Why it is outdated; or why it starts over although fewer epochs of it were trained."""
    shared: SharedRecord | None = None
    """What is to be taken over, or was, from another results folder."""
    need: Need = "now"
    probes: ProbeState | None = None
    """Of those that the grid asks for; None where it asks for none, or where there is no network to ask."""
    estimate: Estimate = field(default_factory=Estimate)
    """What it will take on this machine, as far as `estimate_cells` could tell."""

    @property
    def has_to_run(self) -> bool:
        """Whether a run would train this cell, whatever looks at claims decide."""
        return self.state not in ("done", "reuse") and self.need == "now"

    @property
    def may_run(self) -> bool:
        """Whether a run would train this cell, at least if looks at claims decide nothing."""
        return self.state not in ("done", "reuse") and self.need != "no"

    def as_dict(self) -> dict[str, Any]:
        """As `plan --json` prints it."""
        return {
            "cell_id": self.cell.cell_id,
            "variant_id": self.cell.variant_id,
            "label": self.cell.label,
            "seed": self.cell.seed,
            "state": self.state,
            "outcome": self.outcome,
            "need": self.need,
            "num_epochs_saved": self.num_epochs_saved,
            "reason": self.reason,
            "probes": self.probes,
            "reused_from": self.shared.source if self.shared else None,
            "estimated_seconds": self.estimate.seconds,
            "estimated_memory_bytes": self.estimate.memory_bytes,
        }


@dataclass(frozen=True)
class Shared:
    """Where cells may be taken over from."""

    others: OtherFolders
    device_kind: str
    """Only records of this kind of device are taken."""
    probes: Probes | None = None
    """Only records whose networks have answered these, or still can."""

    def find(self, cell: Cell, code: ModelCode) -> SharedRecord | None:
        """A record of the cell as it would be trained today, on the same kind of device."""

        def is_wanted(found: SharedRecord) -> bool:
            if not code.is_of(found.record) or device_kind(found.record) != self.device_kind:
                return False
            return not self.probes or found.folder.probe_state(found.record, self.probes) != "no weights"

        return self.others.find(cell, is_wanted)


def plan_cells(
    grid: Grid,
    folder: ResultsFolder,
    *,
    fresh: bool = False,
    looks: SeedsUntilDecided | None = None,
    code: Mapping[str, ModelCode] | None = None,
    shared: Shared | None = None,
    shorter: ShorterCells | None = None,
) -> list[PlannedCell]:
    """What is done and what is missing of the selected cells, in the order in which they would run.

    Seeds run in the outer loop: a run that is cut short has compared all variants on its first seeds.

    Args:
        grid: what is asked.
        folder: what is known.
        fresh: whether cells that are done are wanted again.
        looks: which seeds are needed, where that depends on claims.
        code: by model's name, today's code; records of models that it lacks are taken whatever code they are of.
        shared: where else records are looked for; None looks nowhere. What is wanted afresh is not looked for.
        shorter: what is known of cells with fewer epochs; None is nothing.
    """
    order = {seed: number for number, seed in enumerate(grid.seeds)}

    def plan(cell: Cell) -> PlannedCell:
        todays = (code or {}).get(cell.model.name, ModelCode(None))
        need = _need(cell, looks) if looks else "now"
        planned = replace(_planned(cell, folder, todays), need=need)
        if fresh:
            return replace(_afresh(planned), need=need)
        if shared and planned.may_run and (found := shared.find(cell, todays)):
            return PlannedCell(cell, "reuse", found.record.outcome, shared=found, need=need)
        if shorter and planned.state in ("missing", "retry"):
            kept, reason = shorter.find(cell, todays.is_of)
            if kept:
                return replace(planned, state="continue", num_epochs_saved=kept.cell.recipe.epochs, kept=kept)
            return replace(planned, reason=reason)
        return planned

    planned = [plan(cell) for cell in sorted(grid.selected, key=lambda cell: order[cell.seed])]
    asked = grid.probes
    return [replace(one, probes=_probe_state(one, folder, asked)) for one in planned] if asked else planned


def _probe_state(one: PlannedCell, folder: ResultsFolder, asked: Probes) -> ProbeState | None:
    if one.state not in ("done", "reuse"):
        return "to make" if one.may_run else None
    if one.shared:
        return one.shared.folder.probe_state(one.shared.record, asked)
    record = folder.read_record(one.cell.cell_id)
    return folder.probe_state(record, asked) if record else None


def _need(cell: Cell, looks: SeedsUntilDecided) -> Need:
    if looks.is_needed(cell.variant_id, cell.seed):
        return "now"
    return "if undecided" if looks.may_be_needed(cell.variant_id, cell.seed) else "no"


def _afresh(planned: PlannedCell) -> PlannedCell:
    if planned.state == "done":
        return replace(planned, state="again")
    return PlannedCell(planned.cell, "missing")


def _planned(cell: Cell, folder: ResultsFolder, code: ModelCode) -> PlannedCell:
    try:
        record = folder.read_record(cell.cell_id)
    except DamagedFileError:
        record = None
    outcome = record.outcome if record else None
    reason = _why_outdated(record, cell, code)
    if outcome in FINAL_OUTCOMES and not reason:
        return PlannedCell(cell, "done", outcome)
    saved = Checkpoints(folder.checkpoints_path, cell).newest_record()
    if saved is not None:
        reason = _why_outdated(saved, cell, code)
        if not reason:
            earlier = None if _why_outdated(record, cell, code) else record
            return PlannedCell(cell, "continue", outcome, earlier, num_epochs_saved=len(saved.history))
    if reason:
        return PlannedCell(cell, "outdated", outcome, reason=reason)
    return PlannedCell(cell, "missing") if record is None else PlannedCell(cell, "retry", outcome, record)


def _why_outdated(record: Record | None, cell: Cell, code: ModelCode) -> str | None:
    """Why a record is not of the cell as it would be trained today; None if it is, or if there is none."""
    if record is None or (record.is_of(cell) and code.is_of(record)):
        return None
    if not record.is_of(cell):
        return "a default has changed"
    where = f" ({some_of(code.changed)})" if code.changed else ""
    return f"the code of {cell.model.name} has changed{where}"


def variants_to_train(grid: Grid, planned: Iterable[PlannedCell]) -> list[Variant]:
    """The variants of which a run would train some cell."""
    wanted = {one.cell.label for one in planned if one.may_run}
    return [variant for variant in grid.variants if variant.label in wanted]


def drops_looks(grid: Grid, *, fresh: bool) -> bool:
    """Whether a run trains the whole grid anew: then its claims are looked at anew, too."""
    return fresh and len(grid.selected) == len(grid.cells)


def check_same_grid(grid: Grid, folder: ResultsFolder) -> None:
    """Refuse to put the cells of two grids into one folder.

    A grid itself may change and grow: what matches is kept, what no longer does is `former_cells`.

    Raises:
        ResultsError: the folder holds another grid.
    """
    stored = folder.find_grid()
    if stored is not None and stored.name != grid.name:
        raise ResultsError(
            f"{folder.path}: holds results of the grid {stored.name!r}, not of {grid.name!r}; "
            "choose another folder with --results"
        )


def estimate_cells(
    planned: Iterable[PlannedCell],
    folder: ResultsFolder,
    fingerprint: str,
    num_workers: int,
    count_images: Callable[[DataSpec], ImageCounts],
    probes: Probes | None = None,
) -> list[PlannedCell]:
    """Add to each cell what it will take, where its variant's costs have been measured on this machine."""

    @cache
    def entry(variant_id: str) -> CostEntry | None:
        try:
            return folder.read_cost_entry(variant_id, fingerprint)
        except DamagedFileError:  # the next measuring sets it aside, and says so
            return None

    images = cache(count_images)

    def estimate(one: PlannedCell) -> Estimate:
        measured = entry(one.cell.variant_id)
        if measured is None:
            return Estimate()
        recipe = one.cell.recipe
        left = recipe.model_copy(update={"epochs": recipe.epochs - (one.num_epochs_saved or 0)})
        passes = 1 + (probes.num_passes(one.cell.data.resolution or 1) if probes else 0)
        counts = images(one.cell.data)
        return estimate_cell(measured, left, counts, num_workers=num_workers, test_passes=passes)

    return [replace(one, estimate=estimate(one)) for one in planned]
