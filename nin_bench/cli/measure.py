"""`measure`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nin_bench.cli.grids import load_grid, setting
from nin_bench.cli.options import (
    DataDirOption,
    DeviceOption,
    GridOption,
    JsonOption,
    OnlyOption,
    ProfileOption,
    ResultsOption,
    SeedsOption,
    SetOption,
    TimeoutOption,
    WorkersOption,
    YesOption,
    note,
    print_json,
    tell,
)

if TYPE_CHECKING:
    from nin_bench.runner import VariantCost

_COLUMNS = (
    ("parameters", "num_params", 1, ",.0f"),
    ("MACs", "num_macs", 1, ",.0f"),
    ("train images/s", "train_images_per_second", 1, ",.0f"),
    ("each, all busy", "busy_train_images_per_second", 1, ",.0f"),
    ("predict images/s", "predict_images_per_second", 1, ",.0f"),
    ("latency p50, ms", "latency_p50_seconds", 1e3, ",.2f"),
    ("training peak, MB", "train_memory_bytes", 1e-6, ",.0f"),
    ("MFU, %", "mfu", 100, ".1f"),
)
"""Title, figure, unit and format."""


def measure(
    grid: GridOption,
    profile: ProfileOption = "auto",
    overrides: SetOption = None,
    seeds: SeedsOption = None,
    only: OnlyOption = None,
    results: ResultsOption = Path("results"),
    data_dir: DataDirOption = None,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    timeout: TimeoutOption = None,
    rounds: Annotated[
        int, typer.Option("--rounds", metavar="N", min=1, help="Processes that measure each variant.")
    ] = 5,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure again what this machine has measured.")] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure what every variant of a grid costs on this machine; train nothing."""
    loaded, folder = load_grid(grid, profile, device, overrides, seeds, only, results, data_dir, yes)
    from nin_bench.progress import progress_on
    from nin_bench.runner import measure_grid
    from nin_bench.workplace import RunOptions

    options = RunOptions(
        data_dir=data_dir,
        device=device,
        workers=workers,
        timeout_seconds=timeout,
        fresh=fresh,
        num_rounds=rounds,
    )
    with progress_on(sys.stderr, setting(loaded)) as on_event:
        summary = measure_grid(loaded, folder, options, on_event)
    for sentence in summary.notes:
        note(sentence)
    if as_json:
        print_json(
            {
                "grid": loaded.name,
                "profile": loaded.profile,
                "costs": [
                    {"variant_id": cost.variant_id, "label": cost.label, "entry": cost.entry}
                    for cost in summary.costs
                ],
            }
        )
    else:
        _print_table(summary.costs)
        tell(f"costs: {folder.path / 'costs'} ({summary.num_skipped} measured before)")
    if disturbance := _disturbance(summary.costs):
        note(disturbance)
    if summary.signal_number is not None:
        note("interrupted: whole rounds are kept; run the same command again to measure what lacks some")
        sys.exit(128 + summary.signal_number)
    sys.exit(1 if any(cost.entry is None or cost.entry["error"] for cost in summary.costs) else 0)


def _print_table(costs: "Sequence[VariantCost]") -> None:
    from nin_bench.cost_entry import cost_row

    rows = [["variant", *(title for title, *_ in _COLUMNS)]]
    for cost in costs:
        figures = {} if cost.entry is None else cost_row(cost.entry)
        rows.append([cost.label, *(_shown(figures.get(name), scale, form) for _, name, scale, form in _COLUMNS)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for label, *shown in rows:
        cells = (f"{figure:>{width}}" for figure, width in zip(shown, widths[1:], strict=True))
        tell("  ".join([f"{label:{widths[0]}}", *cells]))
    for cost in costs:
        if cost.entry is not None and cost.entry["error"]:
            tell(f"{cost.label}: {cost.entry['error'].splitlines()[0]}")


def _disturbance(costs: "Sequence[VariantCost]") -> str | None:
    from nin_bench.cost_entry import CostEntry
    from nin_bench.report.costs import describe_disturbance

    entries = [CostEntry.model_validate(cost.entry) for cost in costs if cost.entry is not None]
    return describe_disturbance([load for entry in entries for load in entry.load])


def _shown(figure: Any, scale: float, form: str) -> str:
    return "–" if figure is None else format(figure * scale, form)
