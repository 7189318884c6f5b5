"""What a cell takes of the driver, with real results folders and simulated workers; tests/benchmarks has more."""

from cProfile import Profile
from pathlib import Path

from tests.simulated_cluster import Load, StubCells, load_grid, simulate

NUM_ENDED = 40


def run(folder: Path, num_cells: int, num_workers: int, stub: StubCells) -> tuple[Load, float]:
    """What a run takes of its driver, and how many functions are called for each cell that ends."""
    profile = Profile()

    def on_end(number: int) -> None:
        if number == 1:
            profile.enable()
        elif number == NUM_ENDED:
            profile.disable()

    folder.mkdir()
    load = simulate(
        load_grid(folder / "grid.yaml", num_cells), folder / "many", num_workers, NUM_ENDED, stub, on_end
    )
    return load, sum(entry.callcount for entry in profile.getstats()) / (NUM_ENDED - 1)


def test_the_driver_s_work_for_a_cell_grows_neither_with_the_cells_nor_much_with_the_workers(tmp_path: Path):
    stub = StubCells.shipped()
    few, calls_of_few = run(tmp_path / "few", 100, 16, stub)
    many, calls_of_many = run(tmp_path / "many", 600, 256, stub)
    assert calls_of_many < 2 * calls_of_few  # 1.6, since nodes of few cells have turns in which nothing happens
    # Of a node of eight workers a turn a second takes how all of them go, and one the end of each cell: 10 epochs
    # of a cell are no 10 turns.
    assert many.num_turns < 6
    # A record and its predictions: the file and its folder.
    assert few.num_syncs == many.num_syncs == 4
