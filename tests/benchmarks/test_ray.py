"""What Ray adds to a cell, and how many cells its driver ends in a second, on two CPUs of one node."""

from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

from nin_bench.catalog import RegistryCatalog
from nin_bench.grid import Grid
from tests.benchmarks.bench_processes import in_fresh_process
from tests.benchmarks.figures import Size
from tests.benchmarks.test_runner_overhead import GRID, run_cells

ray_nodes = pytest.importorskip("tests.ray_nodes")
pytestmark = pytest.mark.extra
CPUS = 2
CELL_SECONDS = 30.0


def test_what_ray_adds_to_a_cell(in_turn, tell: Callable[..., None], size: Size, tmp_path: Path):
    """Cells so short that what is around them shows, on this machine and on a node of Ray that is this machine."""
    path = tmp_path / "grid.yaml"
    path.write_text(GRID.format(data_name="digits", num_cells=1 + size.ray_cells))
    grid = Grid.load(path, RegistryCatalog())

    def run(address: str | None) -> float:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        return float(in_fresh_process(run_cells, grid, folder, CPUS, address)[0])

    with ray_nodes.ray_nodes(tmp_path / "nodes", [CPUS]) as nodes:
        rounds = in_turn(lambda: run(None), lambda: run(nodes.address), size.rounds)
    added = median((on_ray - here) * CPUS / size.ray_cells for here, on_ray in rounds)
    tell("what Ray adds to a cell of 30 s, on two CPUs", added / CELL_SECONDS, "share", "≤ 5 %")
    tell("… to any cell", added, "s")
    tell("… cells in a second, here", median(size.ray_cells / here for here, _ in rounds), "cells/s")
    tell("… cells in a second, on Ray", median(size.ray_cells / on_ray for _, on_ray in rounds), "cells/s")
