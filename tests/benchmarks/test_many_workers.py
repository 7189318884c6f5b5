"""How many workers a driver can keep busy: its processor time for a cell, by numbers of cells and of workers."""

from pathlib import Path

from tests.benchmarks.figures import Size
from tests.simulated_cluster import CELL_SECONDS, Load, StubCells, load_grid, simulate


def test_workers_of_one_driver(benchmark, tell, size: Size, tmp_path: Path):
    """Cells of 30 s and ten epochs on nodes of eight workers, until some hundreds have ended."""
    stub, loads = StubCells.shipped(), dict[tuple[int, int], Load]()

    def run_all() -> None:
        for num_cells in size.simulated_cells:
            grid = load_grid(tmp_path / "grid.yaml", num_cells)
            for num_workers in size.simulated_workers:
                folder = tmp_path / f"{num_cells} {num_workers}"
                loads[num_cells, num_workers] = simulate(grid, folder, num_workers, size.simulated_ended, stub)

    benchmark.pedantic(run_all, rounds=1)
    for (num_cells, num_workers), load in loads.items():
        what = f"the driver's time for a cell, {num_workers:,} of {num_cells:,} at once"
        tell(what, load.milliseconds, "ms", "≤ 5 ms")
        tell(
            "… share of its time, with cells of 30 s",
            load.milliseconds / 1000 * num_workers / CELL_SECONDS,
            "share",
        )
        tell("… turns of nodes", load.num_turns, "turns")
        tell("… before the first cell, for each", 1000 * load.start_seconds / num_cells, "ms")
