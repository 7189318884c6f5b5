"""What a run is estimated to take: figures by hand, and the same for a plan and for its run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import nin_bench as nb
from nin_bench.analysis.power import Power, Scenario
from nin_bench.api import results_folder
from nin_bench.catalog import RegistryCatalog
from nin_bench.environment import describe_machine
from nin_bench.estimates import Estimate, RunEstimate
from nin_bench.grid import Grid
from nin_bench.looks import seeds_until_decided
from nin_bench.planning import PlannedCell, plan_cells
from nin_bench.results import ResultsFolder
from nin_bench.runner.estimating import run_estimates
from nin_bench.runner.events import Estimated, Event
from nin_bench.runner.run import run_grid
from tests.costs_fixture import cost_entry, write_costs
from tests.looks_cells import GRID


@pytest.fixture
def grid(tmp_path: Path) -> Grid:
    """Looks at 8, 12 and 16 seeds; the claims compare 8 with 16 units, and 16 with 32. None needs 64 units."""
    (tmp_path / "grid.yaml").write_text(GRID)
    return Grid.load(tmp_path / "grid.yaml", RegistryCatalog())


def cells_of_ten_seconds(grid: Grid, folder: Path) -> list[PlannedCell]:
    looks = seeds_until_decided(grid.resolved("cpu"))
    planned = plan_cells(grid, ResultsFolder(folder), looks=looks)
    return [replace(one, estimate=Estimate(10.0, 100)) for one in planned]


def powers(*seeds: float) -> Sequence[Power]:
    """What is expected of each claim: the verdict after so many seeds."""
    common = {"metric": "test_accuracy", "factor": False, "num_seeds": 16, "level": 0.025, "least_pairs": 6}
    return [
        Power(id=str(number), scenarios=(Scenario(0.01, "as assumed", 0.5, 0.1, expected_seeds),), **common)
        for number, expected_seeds in enumerate(seeds)
    ]


def test_seeds_until_decided_are_estimated_look_by_look_as_expected_and_at_most(grid: Grid, tmp_path: Path):
    planned = cells_of_ten_seconds(grid, tmp_path)
    # 32 cells of the first look, 70 s with 5 workers; then 10, 12 and 12 of the seeds, and at most all 16 of them.
    assert run_estimates(grid, planned, powers(9.6, 12.0, 16.0), 5) == {
        "as expected": RunEstimate(5, 42, 42, 70.0 + 20.0, 500, longest_seconds=10.0),
        "at most": RunEstimate(5, 56, 56, 70.0 + 30.0 + 30.0, 500, longest_seconds=10.0),
    }


def test_all_seeds_run_side_by_side_where_none_waits_for_a_look(grid: Grid, tmp_path: Path):
    (tmp_path / "grid.yaml").write_text(GRID.replace("{until: decided, at_most: 16}", "16"))
    grid = Grid.load(tmp_path / "grid.yaml", RegistryCatalog())
    planned = cells_of_ten_seconds(grid, tmp_path)
    assert run_estimates(grid, planned, [], 1, num_nodes=5) == {
        "": RunEstimate(5, 64, 64, 130.0, 100, num_nodes=5, longest_seconds=10.0)
    }


class EnoughError(Exception):
    """The run has told its estimate."""


def test_a_plan_and_its_run_estimate_alike(grid: Grid, tmp_path: Path):
    folder = results_folder(grid, tmp_path)
    folder.path.mkdir(parents=True)
    for variant in grid.variants:
        write_costs(folder.path, variant.variant_id, cost_entry(machine=describe_machine("cpu")))
    told: list[Estimated] = []

    def listen(event: Event) -> None:
        if isinstance(event, Estimated):
            told.append(event)
            raise EnoughError

    options = nb.RunOptions(device="cpu", workers=2, measure=False)
    planned = nb.plan(grid, options, results=tmp_path)
    with pytest.raises(EnoughError):
        run_grid(grid, folder, options, listen)
    assert told[0].estimates == planned.estimates
    expected, most = planned.estimates.values()
    assert 32 < expected.num_known <= most.num_known == 56
    assert 0 < expected.seconds <= most.seconds
