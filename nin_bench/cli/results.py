"""What is asked of a results folder: `report` and `status`."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nin_bench.cli.options import FolderArgument, JsonOption, print_json

if TYPE_CHECKING:
    from nin_bench.results import ResultsFolder


def report(
    folder: FolderArgument,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where the report goes; default beside the results."),
    ] = None,
) -> None:
    """Write the report of a results folder anew, from its records alone."""
    from nin_bench.results import ResultsFolder

    write_report(ResultsFolder(folder), out)


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
        print_json(document)
        return
    typer.echo(f"{results.grid['name']}, profile {results.grid['profile']}: {len(results.cells)} cells")
    for outcome, count in outcomes.most_common():
        typer.echo(f"  {count:5d} {outcome}")
    for sentence in results.left_out:
        typer.echo(f"  {sentence}")


def write_report(folder: "ResultsFolder", out: Path | None) -> None:
    """Write a results folder's report, beside it unless said otherwise, and say where."""
    from nin_bench.report.build import build_report

    page = build_report(folder.path, out or report_folder(folder.path))
    typer.echo(f"report: {page}")


def report_folder(results: Path) -> Path:
    """Where a results folder's report goes: results/… beside it in reports/…, any other in its own report/."""
    if not results.is_absolute() and results.parts[:1] == ("results",):
        return Path("reports", *results.parts[1:])
    return results / "report"
