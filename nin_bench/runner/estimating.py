"""What a grid's run will take, said alike before it and at its start."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from nin_bench.analysis.lock import Lock
from nin_bench.analysis.power import Power, expected_seeds, power_analysis
from nin_bench.analysis.spread import find_pilots
from nin_bench.checks import untestable_claims
from nin_bench.estimates import RunEstimate, estimate_run
from nin_bench.grid import Grid
from nin_bench.planning import PlannedCell
from nin_bench.results import ResultsFolder


def grid_power(
    grid: Grid, folder: ResultsFolder, device: str, data_dir: Path | None, pilot: Path | None = None
) -> Sequence[Power]:
    """What the planned seeds can decide; ResultsError if the given pilot cannot be read."""
    if not grid.hypotheses:
        return []
    pilots = find_pilots(folder) if pilot is None else [pilot]
    stored = folder.find_grid()
    lock = Lock.read(stored) if stored and stored.locks else None
    return power_analysis(grid, pilots, untestable_claims(grid, device, data_dir), lock)


def run_estimates(
    grid: Grid, planned: Sequence[PlannedCell], powers: Sequence[Power], num_workers: int, num_nodes: int = 1
) -> dict[str, RunEstimate]:
    """Estimate a run.

    Where seeds are trained until claims are decided, cells of a look wait for all of the look before.

    Args:
        grid: the question.
        planned: its selected cells, with their estimates.
        powers: what the seeds can decide, as `grid_power` tells.
        num_workers: of each node.
        num_nodes: how many machines share the cells.

    Returns:
        The estimate of all cells to run, by an empty name; where seeds are trained until claims are decided,
        one `as expected`, and one `at most`.
    """
    if grid.until_decided is None:
        some = {"": [one for one in planned if one.has_to_run]}
    else:
        most = [one for one in planned if one.may_run]
        some = {"as expected": _expected(grid, most, expected_seeds(grid, powers)), "at most": most}
    return {
        name: estimate_run(
            [[one.estimate for one in wave] for wave in _waves(grid, cells)], num_workers, num_nodes
        )
        for name, cells in some.items()
    }


def _expected(grid: Grid, planned: Iterable[PlannedCell], seeds: Mapping[str, float]) -> list[PlannedCell]:
    """The cells that a run is expected to train, where its variants need so many of the listed seeds."""
    order = {seed: number for number, seed in enumerate(grid.seeds)}
    return [one for one in planned if one.has_to_run or order[one.cell.seed] < round(seeds[one.cell.variant_id])]


def _waves(grid: Grid, planned: Iterable[PlannedCell]) -> list[list[PlannedCell]]:
    """Cells that can run side by side: where claims are looked at, the seeds of a look wait for the one before."""
    numbers = {seed: number for number, seed in enumerate(grid.seeds)}
    ends = grid.until_decided.looks if grid.until_decided else (len(grid.seeds),)
    waves: list[list[PlannedCell]] = [[] for _ in ends]
    for one in planned:
        waves[bisect_right(ends, numbers[one.cell.seed])].append(one)
    return waves
