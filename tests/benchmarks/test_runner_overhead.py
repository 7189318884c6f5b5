"""What a run adds to training: processes, data read by each, records, predictions."""

import time
from pathlib import Path
from statistics import median

from nin_bench.catalog import RegistryCatalog
from nin_bench.grid import Grid
from nin_bench.results import ResultsFolder
from nin_bench.runner.events import CellEnded, CellStarted, Event
from nin_bench.runner.run import run_grid
from nin_bench.runner.session import RunOptions, choose_slots
from tests.benchmarks.bench_processes import in_fresh_process, in_workers, train_bare
from tests.benchmarks.figures import Size

GRID = """
schema: 1
name: short
data: {{name: {data_name}, train_size: 1000, validation_size: 0}}
recipe: {{epochs: 1, lr: 0.1}}
seeds: {num_cells}
models: [{{name: mlp, hidden: 32}}]
"""
MINUTE = 60.0


def run_cells(grid: Grid, folder: Path, workers: int = 1, ray_address: str | None = None) -> tuple[float, float]:
    """Seconds from the end of the first cell to that of the last, and those until the first was under way."""
    starts, ends = [], []

    def listen(event: Event) -> None:
        if isinstance(event, CellStarted):
            starts.append(time.perf_counter())
        if isinstance(event, CellEnded):
            assert event.record.outcome == "trained", event.record.attempts
            ends.append(time.perf_counter())

    began = time.perf_counter()
    options = RunOptions(device="cpu", workers=workers, ray_address=ray_address, measure=False)
    run_grid(grid, ResultsFolder(folder), options, listen)
    return ends[-1] - ends[0], starts[0] - began


def test_what_a_run_adds_to_a_cell(in_turn, tell, size: Size, data_name: str, tmp_path: Path):
    """Short cells, with a process each and without: what is added does not depend on how long a cell trains."""
    path = tmp_path / "grid.yaml"
    path.write_text(GRID.format(data_name=data_name, num_cells=1 + size.short_cells))
    grid = Grid.load(path, RegistryCatalog())
    slots = choose_slots("cpu", 1)

    def bare() -> float:
        (seconds,) = in_workers(slots, train_bare, grid.cells)
        return seconds

    def run() -> tuple[float, float]:
        return in_fresh_process(run_cells, grid, tmp_path / str(len(list(tmp_path.iterdir()))))

    rounds = in_turn(bare, run, size.rounds)
    added = median((seconds - alone) / size.short_cells for alone, (seconds, _) in rounds)
    tell("what a run adds to a cell of a minute", added / MINUTE, "share", "≤ 3 %")
    tell("… to any cell", added, "s")
    tell("… before the first cell, once a run", median(startup for _, (_, startup) in rounds), "s")
