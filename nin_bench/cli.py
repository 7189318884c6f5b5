"""The command line: commands, options, progress on screen, exit codes. The only room that prints.

torch and everything that needs it is imported inside the commands that use it, so that `--help`, `status`,
`schema` and `report` answer at once.
"""

import json
import shlex
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from nin_bench import __version__
from nin_bench.errors import InputError, NinBenchError, SpecError

if TYPE_CHECKING:
    from nin_bench.grid import Grid
    from nin_bench.plan import PlannedCell
    from nin_bench.results import ResultsFolder
    from nin_bench.runner import RunSummary

app = typer.Typer(
    name="nin_bench",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Ablation and benchmarking of convolutional architectures: a YAML grid in, a report with evidence out.",
)

GridOption = Annotated[Path, typer.Option("--grid", metavar="FILE", help="The grid, a YAML file.")]
ProfileOption = Annotated[
    str, typer.Option("--profile", help="One of the grid's profiles; `full` is the grid as written.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="K=V", help="Override a field, as recipe.epochs=2.")
]
SeedsOption = Annotated[
    str | None, typer.Option("--seeds", metavar="N,N…", help="Run only these of the grid's seeds.")
]
OnlyOption = Annotated[
    str | None, typer.Option("--only", metavar="GLOB", help="Run only variants whose label matches.")
]
ResultsOption = Annotated[
    Path, typer.Option("--results", metavar="ROOT", help="Where results go, as ROOT/<grid>/<profile>.")
]
DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="Where datasets lie or are downloaded to.")
]
YesOption = Annotated[bool, typer.Option("--yes", help="Allow more than 10,000 cells.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
FolderArgument = Annotated[
    Path, typer.Argument(metavar="RESULTS_DIR", help="One <root>/<grid>/<profile>.", show_default=False)
]


_UsageError: Any = typer.BadParameter.__base__
"""A wrong option or argument; click's class, or the copy of it that newer versions of typer carry."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 all well, 1 some cell not trained, 2 wrong input, 130/143 interrupted."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        # Not standalone, so that a wrong option is told as any other input: in one line.
        status = app(args=arguments, standalone_mode=False)
    except _UsageError as error:
        command = error.ctx.command_path if error.ctx else "nin_bench"
        _refuse(f"{error.format_message().rstrip('.')}; see {command} --help")
    except NinBenchError as error:
        _refuse(str(error))
    sys.exit(status)


def _refuse(message: str) -> NoReturn:
    sys.stderr.write(f"{' '.join(message.split())}\n")
    sys.exit(2)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nin_bench {__version__}")
        raise typer.Exit


@app.callback()
def _nin_bench(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    grid: GridOption,
    profile: ProfileOption = "auto",
    overrides: SetOption = None,
    seeds: SeedsOption = None,
    only: OnlyOption = None,
    results: ResultsOption = Path("results"),
    data_dir: DataDirOption = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes on a CPU; default one per core.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, or a torch device as cuda:0.")] = "auto",
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="S", min=1, help="Seconds that one cell may take.")
    ] = None,
    retries: Annotated[
        int, typer.Option("--retries", metavar="N", min=0, help="Further tries of a cell that crashed or hung.")
    ] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Train cells again that are done.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be run, and stop.")] = False,
    yes: YesOption = False,
) -> None:
    """Train every cell of a grid that has no result yet, and write the report."""
    loaded, folder = _load(grid, profile, device, overrides, seeds, only, results, data_dir, yes)
    if dry_run:
        _print_plan(_planned(loaded, folder, data_dir, fresh=fresh))
        return
    from nin_bench.progress import progress_on
    from nin_bench.runner import RunOptions, run_grid

    options = RunOptions(
        data_dir=data_dir,
        device=device,
        workers=workers,
        timeout_seconds=timeout,
        retries=retries,
        fresh=fresh,
    )
    with progress_on(sys.stderr, _setting(loaded)) as on_event:
        summary = run_grid(loaded, folder, options, on_event)
    if summary.signal_number is None:
        _write_report(folder, None)
    _finish(summary, folder)


@app.command()
def plan(
    grid: GridOption,
    profile: ProfileOption = "auto",
    overrides: SetOption = None,
    seeds: SeedsOption = None,
    only: OnlyOption = None,
    results: ResultsOption = Path("results"),
    data_dir: DataDirOption = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, or a torch device as cuda:0.")] = "auto",
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show every cell of a grid and what is known of it; train nothing."""
    loaded, folder = _load(grid, profile, device, overrides, seeds, only, results, data_dir, yes)
    cells = _planned(loaded, folder, data_dir)
    if as_json:
        document = {
            "grid": loaded.name,
            "profile": loaded.profile,
            "cells": [cell.as_dict() for cell in cells],
        }
        _print_json(document)
        return
    _note(_setting(loaded))
    _print_plan(cells)


@app.command()
def report(
    folder: FolderArgument,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where the report goes; default beside the results."),
    ] = None,
) -> None:
    """Write the report of a results folder anew, from its records alone."""
    from nin_bench.results import ResultsFolder

    _write_report(ResultsFolder(folder), out)


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Print this model's layers.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="K=V", help="An argument of the model, as pointwise=3."),
    ] = None,
    resolution: Annotated[int, typer.Option("--resolution", min=1, help="Height and width in pixels.")] = 224,
    channels: Annotated[int, typer.Option("--channels", min=1, help="1 for grey images, 3 for colour.")] = 1,
    classes: Annotated[int, typer.Option("--classes", min=1, help="Number of classes.")] = 10,
    deep: Annotated[bool, typer.Option("--deep", help="Every layer, not the blocks alone.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the registered models with their arguments, or print one model's layers."""
    if name is None:
        _print_models(as_json)
    else:
        _print_layers(name, overrides or [], (channels, resolution, classes), deep=deep, as_json=as_json)


@app.command()
def status(folder: FolderArgument, as_json: JsonOption = False) -> None:
    """Count a results folder's cells by outcome."""
    from nin_bench.results import load_results

    results = load_results(folder)
    outcomes = Counter(results.cells["outcome"])
    if as_json:
        document = {
            "grid": results.grid["name"],
            "profile": results.grid["profile"],
            "num_cells": len(results.cells),
            "outcomes": dict(outcomes),
            "left_out": results.left_out,
        }
        _print_json(document)
        return
    typer.echo(f"{results.grid['name']}, profile {results.grid['profile']}: {len(results.cells)} cells")
    for outcome, count in outcomes.most_common():
        typer.echo(f"  {count:5d} {outcome}")
    for sentence in results.left_out:
        typer.echo(f"  {sentence}")


@app.command()
def schema(
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make it anew, with models that other packages registered.")
    ] = False,
) -> None:
    """Print the JSON Schema of grid files, for an editor to check and complete them."""
    from nin_bench.grid.schema import grid_schema, shipped_schema

    typer.echo(json.dumps(grid_schema(), indent=1) if rebuild else shipped_schema().rstrip())


def _load(
    path: Path,
    profile: str,
    device: str,
    overrides: Sequence[str] | None,
    seeds: str | None,
    only: str | None,
    results: Path,
    data_dir: Path | None,
    yes: bool,
) -> "tuple[Grid, ResultsFolder]":
    from nin_bench.environment import has_accelerator
    from nin_bench.grid import Grid
    from nin_bench.plan import RegistryCatalog
    from nin_bench.results import ResultsFolder

    grid = Grid.load(
        path,
        RegistryCatalog(data_dir),
        profile=profile,
        has_accelerator=device.partition(":")[0] != "cpu" and has_accelerator(),
        overrides=overrides or (),
        seeds=_numbers(seeds),
        only=only,
        allow_many=yes,
    )
    return grid, ResultsFolder(results / grid.name / grid.profile)


def _numbers(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"--seeds: {text!r} is no list of seeds; write --seeds 0,1") from error


def _setting(grid: "Grid") -> str:
    return (
        f"{grid.name}, profile {grid.profile}: {_counted(len(grid.variants), 'variant')}, "
        f"{_counted(len(grid.seeds), 'seed')}, {_counted(len(grid.selected), 'cell')} selected"
    )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count:,} {noun}s"


def _planned(
    grid: "Grid", folder: "ResultsFolder", data_dir: Path | None, *, fresh: bool = False
) -> "list[PlannedCell]":
    from nin_bench.plan import load_plan

    return load_plan(grid, folder, data_dir, fresh=fresh)


def _print_plan(cells: "Sequence[PlannedCell]") -> None:
    width = max(len(planned.cell.label) for planned in cells)
    for planned in cells:
        outcome = f" ({planned.outcome})" if planned.outcome else ""
        typer.echo(f"{planned.cell.label:{width}}  seed {planned.cell.seed}  {planned.state}{outcome}")
    todo = sum(planned.has_to_run for planned in cells)
    typer.echo(f"{len(cells)} cells: {todo} to run, {len(cells) - todo} done")


def _print_json(document: Any) -> None:
    from nin_bench.files import to_json

    typer.echo(to_json(document), nl=False)


def _print_models(as_json: bool) -> None:
    from nin_bench.models import list_models, model_arguments, model_summary

    if as_json:
        document = [
            {
                "name": name,
                "summary": model_summary(name),
                "arguments": {
                    key: {"default": argument.default, "description": argument.description}
                    for key, argument in model_arguments(name).items()
                },
            }
            for name in list_models()
        ]
        _print_json(document)
        return
    for name in list_models():
        typer.echo(f"{name}: {model_summary(name)}")
        for key, argument in model_arguments(name).items():
            default = json.dumps(argument.default).strip('"')
            typer.echo(f"    {key}={default}  {argument.description} ({argument.allowed})")


def _print_layers(
    name: str, overrides: Sequence[str], image: tuple[int, int, int], *, deep: bool, as_json: bool
) -> None:
    from nin_bench.cost import count_cost, count_layers
    from nin_bench.models import ImageSpec, resolve_arguments

    given = _arguments(overrides)
    channels, resolution, classes = image
    spec = ImageSpec(channels=channels, resolution=resolution, num_classes=classes)
    try:
        arguments = resolve_arguments(name, given)
        layers = count_layers(name, spec, deep=deep, **arguments)
        cost = count_cost(name, spec, **arguments)
    except SpecError as error:
        raise InputError(f"models {name}: {error}") from error
    if as_json:
        document = {
            "name": name,
            "num_params": cost.num_params.total,
            "num_macs": cost.num_macs.total,
            "layers": [asdict(layer) for layer in layers],
        }
        _print_json(document)
        return
    rows = [("layer", "type", "output shape", "parameters", "MACs")]
    rows += [
        (
            layer.name,
            layer.type,
            "×".join(map(str, layer.output_shape)),
            f"{layer.num_params:,}",
            f"{layer.num_macs:,}",
        )
        for layer in layers
    ]
    rows += [
        (title, "", "", f"{getattr(cost.num_params, kind):,}", f"{getattr(cost.num_macs, kind):,}")
        for title, kind in (
            ("total", "total"),
            ("in spatial convolutions", "convolution"),
            ("in 1×1 convolutions", "pointwise"),
            ("in dense layers", "dense"),
        )
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        left = "  ".join(f"{row[column]:{widths[column]}}" for column in range(3))
        typer.echo(f"{left}  {row[3]:>{widths[3]}}  {row[4]:>{widths[4]}}")
    typer.echo("MACs: multiply-accumulates of convolutions and dense layers in one forward pass of one image.")


def _arguments(overrides: Sequence[str]) -> dict[str, Any]:
    from nin_bench.yaml_source import parse_yaml

    given = {}
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set {text}: write --set ARGUMENT=VALUE")
        given[key] = parse_yaml(value, f"--set {text}").plain()
    return given


def _write_report(folder: "ResultsFolder", out: Path | None) -> None:
    from nin_bench.report.build import build_report

    page = build_report(folder.path, out or report_folder(folder.path))
    typer.echo(f"report: {page}")


def report_folder(results: Path) -> Path:
    """Where a results folder's report goes: results/… beside it in reports/…, any other in its own report/."""
    if not results.is_absolute() and results.parts[:1] == ("results",):
        return Path("reports", *results.parts[1:])
    return results / "report"


def _finish(summary: "RunSummary", folder: "ResultsFolder") -> NoReturn:
    told = ", ".join(f"{count} {outcome}" for outcome, count in summary.outcomes.most_common())
    typer.echo(f"results: {folder.path} ({told}; {summary.num_skipped} done before)")
    if summary.signal_number is not None:
        _note(
            "interrupted: run the same command again to go on, or see what there is with "
            f"python -m nin_bench report {shlex.quote(str(folder.path))}"
        )
        sys.exit(128 + summary.signal_number)
    sys.exit(0 if set(summary.outcomes) <= {"trained"} else 1)


def _note(text: str) -> None:
    typer.echo(text, err=True)
