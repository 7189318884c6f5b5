"""`measure`."""

import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nin_bench.cli.grids import GridOptions, load_grid, process_options
from nin_bench.cli.options import JsonOption, WorkOptions, note, print_json, print_table, tell, time_left
from nin_bench.cli.streams import let_output_go
from nin_bench.errors import counted

if TYPE_CHECKING:
    from nin_bench.estimates import LargestBatch
    from nin_bench.runner.run import VariantCost

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
    given: GridOptions,
    work: WorkOptions,
    rounds: Annotated[
        int | None,
        typer.Option(
            "--rounds",
            metavar="N",
            min=1,
            help="Processes that measure each variant; default: 8, or 20 if a hypothesis is about a speed.",
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Measure again, also what this machine has measured before.")
    ] = False,
    gigabytes: Annotated[
        float | None,
        typer.Option(
            "--memory", metavar="GB", min=0.001, help="Print which batches can be trained in this memory."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure what every variant of a grid costs on this machine; train nothing."""
    started = time.monotonic()
    seconds = work.seconds
    with redirect_stdout(sys.stderr):  # where networks of one's own may print
        loaded = load_grid(given)
        from nin_bench import api
        from nin_bench.reporting.sections.costs import describe_disturbance
        from nin_bench.runner.session import RunOptions

        options = RunOptions(**process_options(given, work), fresh=fresh, num_rounds=rounds)
        summary = api.measure(loaded, options, results=given.results, seconds=time_left(seconds, started))
    if summary.signal_number is not None:
        let_output_go()
    for sentence in summary.notes:
        note(sentence)
    if as_json:
        costs = [_document(cost, gigabytes) for cost in summary.costs]
        print_json({"grid": loaded.name, "profile": loaded.profile, "costs": costs})
    else:
        _print_costs(summary.costs)
        if gigabytes is not None:
            _print_largest_batches(summary.costs, gigabytes)
        folder = api.results_folder(loaded, given.results).path / "costs"
        tell(f"costs: {folder} ({summary.num_skipped} measured before)")
    loads = [load for cost in summary.costs if cost.entry for load in cost.entry.load]
    if disturbance := describe_disturbance(loads):
        note(disturbance)
    if summary.signal_number is not None:
        note("interrupted: whole rounds are kept; run the same command again to measure what lacks some")
        sys.exit(128 + summary.signal_number)
    if summary.num_left:
        counts = counted(summary.num_left, "variant")
        note(f"the time is over: {counts} left; whole rounds are kept, and the same command goes on")
        sys.exit(1)
    sys.exit(1 if any(cost.entry is None or cost.entry.error for cost in summary.costs) else 0)


def _document(cost: "VariantCost", gigabytes: float | None) -> dict[str, Any]:
    said: dict[str, Any] = {
        "variant_id": cost.variant_id,
        "label": cost.label,
        "entry": cost.entry and cost.entry.model_dump(),
    }
    if gigabytes is not None:
        said["largest_batches"] = [asdict(one) for one in _largest_batches(cost, gigabytes)]
    return said


def _largest_batches(cost: "VariantCost", gigabytes: float) -> "list[LargestBatch]":
    from nin_bench.estimates import largest_batches

    return [] if cost.entry is None else largest_batches(cost.entry, int(gigabytes * 1e9))


def _print_largest_batches(costs: "Sequence[VariantCost]", gigabytes: float) -> None:
    rows = [["variant", f"batch that trains in {gigabytes:g} GB", "MB per image", "in micro-batches of", "batch"]]
    for cost in costs:
        found = _largest_batches(cost, gigabytes)
        whole = next((one for one in found if one.micro_batch is None), None)
        parts = next((one for one in found if one.micro_batch is not None), None)
        rows.append(
            [
                cost.label,
                _batch(whole),
                _shown(whole and whole.bytes_per_image, 1e-6, ",.3f"),
                _shown(parts and parts.micro_batch, 1, ",d"),
                _batch(parts),
            ]
        )
    tell("")
    print_table(rows, num_left=1)


def _batch(found: "LargestBatch | None") -> str:
    if found is None:
        return "–"
    return "any" if found.num_images is None else f"{found.num_images:,}"


def _print_costs(costs: "Sequence[VariantCost]") -> None:
    rows = [["variant", *(title for title, *_ in _COLUMNS)]]
    for cost in costs:
        figures = {} if cost.entry is None else cost.entry.headline()
        rows.append([cost.label, *(_shown(figures.get(name), scale, form) for _, name, scale, form in _COLUMNS)])
    print_table(rows, num_left=1)
    for cost in costs:
        if cost.entry is not None and cost.entry.error:
            tell(f"{cost.label}: {cost.entry.error.splitlines()[0]}")


def _shown(figure: Any, scale: float, form: str) -> str:
    return "–" if figure is None else format(figure * scale, form)
