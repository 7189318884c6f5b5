"""`plan`, which `run --dry-run` prints, too."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nin_bench.cli.grids import load_grid, other_roots, setting
from nin_bench.cli.options import (
    AcceptCodeOption,
    DataDirOption,
    DeviceOption,
    GridOption,
    JsonOption,
    NoReuseOption,
    OnlyOption,
    OwnModelsOption,
    PilotOption,
    ProfileOption,
    ResultsOption,
    ReuseFromOption,
    SeedsOption,
    SetOption,
    WorkersOption,
    YesOption,
    counted,
    note,
    print_json,
    tell,
)
from nin_bench.cli.power import print_power
from nin_bench.cli.warnings import lock_notes, plan_warnings

if TYPE_CHECKING:
    from nin_bench.analysis.power import Power
    from nin_bench.grid import Grid
    from nin_bench.planning import PlannedCell
    from nin_bench.results import ResultsFolder
    from nin_bench.results.former import FormerCell


@dataclass(frozen=True)
class Plan:
    """What would be done of a grid on this machine, and what is known of it before."""

    grid: "Grid"
    cells: "Sequence[PlannedCell]"
    """With what they will take."""
    machine: dict[str, Any]
    num_workers: int
    """How many cells run at a time."""
    former: "Sequence[FormerCell]"
    """Cells that have a record and are no longer in the grid."""
    notes: Sequence[str]
    hypotheses: "Sequence[Power]"
    warnings: Sequence[str]


def plan(
    grid: GridOption,
    own_models: OwnModelsOption = None,
    profile: ProfileOption = "auto",
    overrides: SetOption = None,
    seeds: SeedsOption = None,
    only: OnlyOption = None,
    results: ResultsOption = Path("results"),
    data_dir: DataDirOption = None,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    pilot: PilotOption = None,
    accept_code_changes: AcceptCodeOption = False,
    reuse_from: ReuseFromOption = None,
    no_reuse: NoReuseOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show every cell of a grid, what it will take, and what the seeds can decide; train nothing."""
    loaded, folder = load_grid(grid, profile, device, overrides, seeds, only, results, data_dir, yes)
    roots = other_roots(results, reuse_from)
    found = make_plan(
        loaded,
        folder,
        data_dir,
        device,
        workers,
        () if no_reuse else roots,
        pilot=pilot,
        accept_code_changes=accept_code_changes,
    )
    if as_json:
        document = {
            "grid": loaded.name,
            "profile": loaded.profile,
            "matches": [
                {"label": variant.label, **variant.match.model_dump()}
                for variant in loaded.variants
                if variant.match
            ],
            "cells": [cell.as_dict() for cell in found.cells],
            "no_longer_in_grid": [asdict(cell) for cell in found.former],
            "hypotheses": [power.as_dict() for power in found.hypotheses],
            "warnings": found.warnings,
        }
        print_json(document)
        return
    note(setting(loaded))
    print_plan(found, grid)


def make_plan(
    grid: "Grid",
    folder: "ResultsFolder",
    data_dir: Path | None,
    device: str,
    workers: int | None,
    roots: Sequence[Path],
    *,
    pilot: Path | None = None,
    fresh: bool = False,
    accept_code_changes: bool = False,
) -> Plan:
    """Plan a grid's cells, and look at what else can be known before they are trained."""
    from nin_bench.catalog import RegistryCatalog, load_plan, model_code
    from nin_bench.environment import describe_machine, environment_of
    from nin_bench.more_epochs import ShorterCells
    from nin_bench.planning import Shared, estimate_cells
    from nin_bench.plan_notes import plan_notes
    from nin_bench.results.former import former_cells
    from nin_bench.results.sharing import OtherFolders
    from nin_bench.runner.session import choose_slots

    code = None if accept_code_changes else model_code(grid, folder)
    slots = choose_slots(device, workers, share=True)
    shared = Shared(OtherFolders.under(roots, folder), slots[0].device_kind, grid.probes)
    machine, here = describe_machine(slots[0].device), environment_of(slots[0].device)
    shorter = ShorterCells(folder, grid.cell_ids, here)
    cells = load_plan(grid, folder, data_dir, fresh=fresh, code=code, shared=shared, shorter=shorter)
    count_images = RegistryCatalog(data_dir).count_images
    cells = estimate_cells(cells, folder, machine["fingerprint"], len(slots), count_images, grid.probes)
    former = former_cells(folder, grid.cell_ids, grid.variants)
    return Plan(
        grid=grid,
        cells=cells,
        machine=machine,
        num_workers=len(slots),
        former=former,
        notes=plan_notes(cells, here, former),
        hypotheses=_power(grid, folder, pilot, slots[0].device, data_dir),
        warnings=[*lock_notes(grid, folder), *plan_warnings(grid, cells, machine, len(slots), data_dir)],
    )


def _power(
    grid: "Grid", folder: "ResultsFolder", pilot: Path | None, device: str, data_dir: Path | None
) -> "list[Power]":
    """What the planned seeds can decide; without hypotheses nothing is loaded."""
    if not grid.hypotheses:
        return []
    from nin_bench.analysis.lock import Lock
    from nin_bench.analysis.power import power_analysis
    from nin_bench.analysis.spread import find_pilots
    from nin_bench.checks import untestable_claims

    pilots = find_pilots(folder) if pilot is None else [pilot]
    stored = folder.find_grid()
    lock = Lock.read(stored) if stored and stored.locks else None
    return power_analysis(grid, pilots, untestable_claims(grid, device, data_dir), lock)


def print_plan(plan: Plan, grid_path: Path) -> None:
    """Print every cell, then what all will take, what the seeds can decide, and warnings."""
    from nin_bench.analysis.power import expected_seeds
    from nin_bench.estimates import estimate_run
    from nin_bench.planning import expected_cells
    from nin_bench.progress import estimate_line, memory_warning

    grid, cells = plan.grid, plan.cells
    for variant in grid.variants:
        if match := variant.match:
            tell(
                f"{variant.label}: its width gives it {match.reached:,} {match.size}, and {match.to} has "
                f"{match.target:,} ({match.residue:+.2%})"
            )
    width = max(len(planned.cell.label) for planned in cells)
    for planned in cells:
        saved = planned.num_epochs_saved
        known = [
            *([planned.outcome] if planned.outcome else []),
            *([f"from {planned.shared.source}"] if planned.shared else []),
            *([f"{saved} of {counted(planned.cell.recipe.epochs, 'epoch')} saved"] if saved is not None else []),
        ]
        details = f" ({', '.join(known)})" if known else ""
        state = f"{planned.state}{details}{_needed(planned)}{_takes(planned)}"
        tell(f"{planned.cell.label:{width}}  seed {planned.cell.seed}  {state}")
    todo = [planned for planned in cells if planned.has_to_run]
    done = f"{sum(planned.state == 'done' for planned in cells)} done"
    if num_reused := sum(planned.state == "reuse" for planned in cells):
        done += f", {num_reused} to take over"
    if grid.until_decided is None:
        tell(f"{len(cells)} cells: {len(todo)} to run, {done}")
        estimate = estimate_run((planned.estimate for planned in todo), plan.num_workers)
        if line := estimate_line(estimate):
            tell(line)
    else:
        expected = expected_cells(grid, cells, expected_seeds(grid, plan.hypotheses))
        most = [planned for planned in cells if planned.may_run]
        counts = f"{len(todo)} to run, {len(expected)} as expected, {len(most)} at most, {done}"
        tell(f"{len(cells)} cells: {counts}")
        for name, some in (("as expected", expected), ("at most", most)):
            estimate = estimate_run((planned.estimate for planned in some), plan.num_workers)
            if line := estimate_line(estimate):
                tell(f"{name}: {line}")
    for sentence in plan.notes:
        note(sentence)
    if warning := memory_warning(estimate, plan.machine):
        note(warning)
    if estimate.num_unknown:
        note(
            f"{counted(estimate.num_unknown, 'cell')} without figures of this machine yet: run takes them first, "
            f"and so does, with the same options, python -m nin_bench measure --grid {shlex.quote(str(grid_path))}"
        )
    print_power(plan.hypotheses)
    for sentence in plan.warnings:
        note(sentence)


def _needed(planned: "PlannedCell") -> str:
    if planned.state in ("done", "reuse") or planned.need == "now":
        return ""
    return ", if a claim is undecided" if planned.need == "if undecided" else ", not needed"


def _takes(planned: "PlannedCell") -> str:
    from nin_bench.progress import human_duration, human_memory

    seconds, memory = planned.estimate.seconds, planned.estimate.memory_bytes
    known = [
        *([] if seconds is None else [human_duration(seconds)]),
        *([] if memory is None else [human_memory(memory)]),
    ]
    return f"  {', '.join(known)}" if planned.has_to_run and known else ""
