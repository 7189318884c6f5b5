"""What is asked of a results folder: `report`, `status` and `doctor`."""

import sys
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

import nin_bench
from nin_bench.cli.options import (
    DataDirOption,
    FolderArgument,
    JsonOption,
    named_path,
    note,
    print_json,
    tell,
)
from nin_bench.errors import InputError, counted, unknown_name
from nin_bench.failures import failures_alike

if TYPE_CHECKING:
    from nin_bench.results import Results


def report(
    folder: FolderArgument,
    other: Annotated[
        Path | None,
        typer.Argument(metavar="[RESULTS_DIR_B]", help="Compare the two folders instead.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            parser=named_path,
            help="The folder to write the report into; default beside the (second) results.",
        ),
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            "--fail-on",
            metavar="accuracy,speed,memory",
            help="With two folders: exit with 3 where B is worse than A in one of these, beyond noise.",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Write nothing; exit with 1 if the report no longer follows from its records."
        ),
    ] = False,
) -> None:
    """Write the reports of a results folder again, from its records and its search; or compare two folders."""
    if other is not None:
        if check:
            raise InputError("--check is of one results folder; leave out the second, or --check")
        _compare(folder, other, out, fail_on)
    elif fail_on is not None:
        raise InputError("--fail-on compares two results folders; give the second, or leave out --fail-on")
    elif check:
        _check_report(folder, out)
    else:
        written = nin_bench.report(folder, out)
        for kind, page in (("search report", written.search_page), ("report", written.page)):
            if page is not None:
                tell(f"{kind}: {page}")


def _compare(before: Path, after: Path, out: Path | None, fail_on: str | None) -> None:
    from nin_bench.analysis.gates import ASKED
    from nin_bench.reporting.build import compare_folders, report_folder

    names = [] if fail_on is None else [name.strip() for name in fail_on.split(",")]
    for name in names:
        if name not in ASKED:
            raise InputError(f"--fail-on: {unknown_name('comparison', name, ASKED)}")
    page, found = compare_folders(
        before, after, out or report_folder(after), [one for one in ASKED if one in names]
    )
    tell(f"comparison: {page}")
    worse = [gate for gate in found.gates if gate.verdict == "worse"]
    for gate in worse:
        tell(f"worse in {gate.asked}: {gate.label}")
    if unknown := sum(gate.verdict == "not known" for gate in found.gates):
        note(f"{counted(unknown, 'comparison')} of {len(found.gates)} could not be made: no value, or too few")
    if worse:
        sys.exit(3)
    known = {gate.asked for gate in found.gates if gate.verdict != "not known"}
    if unjudged := [name for name in names if name not in known]:
        note(f"--fail-on {','.join(unjudged)}: nothing could be judged: too few common variants, seeds or costs")
        sys.exit(1)


def _check_report(folder: Path, out: Path | None) -> None:
    from nin_bench.reporting.build import report_folder
    from nin_bench.reporting.check import compare_reports

    kept = out or report_folder(folder)
    with TemporaryDirectory() as fresh:
        nin_bench.report(folder, Path(fresh))
        findings = compare_reports(Path(fresh), kept)
    for finding in findings:
        tell(finding)
    if findings:
        sys.exit(1)
    tell(f"{kept}: follows from its records")


def status(
    folder: FolderArgument,
    cells: Annotated[bool, typer.Option("--cells", help="List every cell.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Print it again after every change, until no run uses the folder.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Count the cells of a results folder by outcome, and print whether a run uses it."""
    if not watch:
        _print_status(folder, cells, as_json)
        return
    if as_json:
        raise InputError("--json prints one document; leave out --watch, and ask again when you need it")
    from nin_bench.cli.watch import changes_of

    for holder in changes_of(folder):
        if holder is not None and not any((folder / name).exists() for name in ("grid.json", "search.json")):
            continue  # it has only begun
        if sys.stdout.isatty():
            sys.stdout.write("\x1b[H\x1b[2J")  # to a clean screen
        _print_status(folder, cells, as_json, under_way=True)


def _print_status(folder: Path, cells: bool, as_json: bool, *, under_way: bool = False) -> None:
    from nin_bench.results import load_results
    from nin_bench.results.folder_lock import lock_holder

    if _holds_search_alone(folder):
        _print_search_status(folder, as_json)
        return
    results = load_results(folder)
    outcomes = Counter(row["outcome"] for row in results.rows)
    saved = _epochs_saved(results)
    num_left = _num_left(results)
    holder = lock_holder(folder)
    if as_json:
        document = {
            "grid": results.grid.name,
            "profile": results.grid.profile,
            "in_use_by": holder,
            "num_cells": len(results.rows),
            "outcomes": dict(outcomes),
            "num_to_continue": len(saved),
            "num_left": num_left,
            "left_out": results.left_out,
            "no_longer_in_grid": [asdict(cell) for cell in results.former],
            "cells": [
                {
                    **{key: cell[key] for key in ("cell_id", "variant_id", "label", "seed", "outcome")},
                    "num_epochs_saved": saved.get(cell["cell_id"]),
                }
                for cell in results.rows
            ],
        }
        print_json(document)
        return
    tell(f"{results.grid.name}, profile {results.grid.profile}: {len(results.rows)} cells")
    if holder is not None:
        tell(f"  in use by {holder}")
    for outcome, count in outcomes.most_common():
        tell(f"  {count:5d} {outcome}")
    if num_left:
        tell(f"  {num_left:5d} of these left to train")
    if saved:
        tell(f"  {len(saved):5d} of these to continue from their checkpoints")
    if under_way and not cells:
        _print_cells(results, saved, only=saved)
    failed = [(row["label"], row["outcome"], row["error"]) for row in results.rows]
    for sentence in [*failures_alike(failed), *results.left_out]:
        tell(f"  {sentence}")
    if cells:
        _print_cells(results, saved)


def _num_left(results: "Results") -> int:
    """Planned cells that did not end, without those that no open claim needs."""
    from nin_bench.looks import unneeded_cells
    from nin_bench.results import FINAL_OUTCOMES

    unneeded = unneeded_cells(results.grid)
    return sum(row["outcome"] not in FINAL_OUTCOMES and row["cell_id"] not in unneeded for row in results.rows)


def _holds_search_alone(folder: Path) -> bool:
    """Whether a folder holds a search and no run."""
    with suppress(OSError):  # reading it says what is wrong
        return not (folder / "grid.json").exists() and (folder / "search.json").exists()
    return False


def _print_search_status(folder: Path, as_json: bool) -> None:
    """Print the status of a folder that holds a search and no run."""
    from nin_bench.results import ResultsFolder
    from nin_bench.results.folder_lock import lock_holder
    from nin_bench.results.studies import read_studies

    config, studies, left_out = read_studies(ResultsFolder(folder))
    holder = lock_holder(folder)
    trials = config.search.trials
    done = {key: studies[key].num_done if key in studies else 0 for key in config.variants_by_id}
    if as_json:
        document = {
            "grid": config.name,
            "profile": config.profile,
            "in_use_by": holder,
            "num_trials": trials,
            "left_out": left_out,
            "studies": [
                {"variant_id": variant.variant_id, "label": variant.label, "num_done": done[variant.variant_id]}
                for variant in config.variants
            ],
        }
        print_json(document)
        return
    tell(f"{config.name}, profile {config.profile}: a search of {len(config.variants)} variants")
    if holder is not None:
        tell(f"  in use by {holder}")
    width = max(len(variant.label) for variant in config.variants)
    for variant in config.variants:
        tell(f"  {variant.label:{width}}  {done[variant.variant_id]} of {trials} trials")
    for sentence in left_out:
        tell(f"  {sentence}")


def _epochs_saved(results: "Results") -> dict[str, int]:
    """How many epochs the checkpoints hold of each cell that the next run would continue, by its id."""
    from nin_bench.results import FINAL_OUTCOMES, ResultsFolder

    folder = ResultsFolder(results.folder).checkpoints_path
    begun = {path.name.partition(".")[0] for path in folder.glob("*.ckpt")}
    if not begun:
        return {}
    from nin_bench.checkpoint import newest_record

    planned = results.grid.planned_cells
    going_on = [row["cell_id"] for row in results.rows if row["outcome"] not in FINAL_OUTCOMES]
    return {
        cell_id: len(record.history)
        for cell_id in going_on
        if cell_id in begun and (record := newest_record(folder, cell_id, planned[cell_id])) is not None
    }


def _print_cells(results: "Results", saved: Mapping[str, int], only: Collection[str] | None = None) -> None:
    epochs = {variant.variant_id: variant.recipe.epochs for variant in results.grid.variants}
    width = max((len(cell.label) for cell in results.grid.cells), default=0)
    for cell in results.rows:
        if only is not None and cell["cell_id"] not in only:
            continue
        why = f": {cell['error'].splitlines()[0]}" if isinstance(cell["error"], str) and cell["error"] else ""
        known = saved.get(cell["cell_id"])
        goes_on = "" if known is None else f", continue ({known} of {epochs[cell['variant_id']]} epochs saved)"
        tell(f"{cell['label']:{width}}  seed {cell['seed']}  {cell['outcome']}{goes_on}{why}")


def doctor(
    folder: FolderArgument,
    data_dir: DataDirOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; print what would be done.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a results folder, repair or quarantine damaged files; exit with 1 if a person has to decide."""
    from nin_bench.doctor import State, examine

    findings = examine(folder, data_dir=data_dir, dry_run=dry_run)
    states = Counter(finding.state for finding in findings)
    if as_json:
        print_json(
            {
                "findings": [asdict(finding) for finding in findings],
                **{f"num_{state}": states[state] for state in ("repaired", "noted", "open")},
            }
        )
    else:
        for finding in findings:
            tell(f"{finding.file}: {finding.found}; {finding.done}")
        said: dict[State, str] = {
            "repaired": "to mend or quarantine" if dry_run else "mended or quarantined",
            "open": "for you to decide",
            "noted": "good to know",
        }
        told = [f"{states[state]} {words}" for state, words in said.items() if states[state]]
        tell(", ".join(told) or "all is well")
    sys.exit(1 if states["open"] else 0)
