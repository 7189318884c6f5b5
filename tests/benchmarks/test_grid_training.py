"""A grid beside the notebooks' loop: NiN, as many images, one run."""

import time
from contextlib import suppress
from pathlib import Path
from statistics import median

from nin_bench.catalog import RegistryCatalog
from nin_bench.grid import Grid
from nin_bench.results import ResultsFolder
from nin_bench.runner.events import EpochEnded, Event
from nin_bench.runner.run import run_grid
from nin_bench.runner.session import RunOptions, choose_slots
from tests.benchmarks import notebooks_loop
from tests.benchmarks.bench_processes import in_fresh_process
from tests.benchmarks.figures import Size
from tests.benchmarks.notebooks_loop import LoopSpeed

GRID = """
schema: 1
name: at_once
data: {{name: {data_name}, resolution: {size.resolution}, train_size: {size.batch_size}, validation_size: 0}}
recipe:
  epochs: {epochs}
  batch_size: {size.batch_size}
  micro_batch: {size.micro_batch}
  lr: 0.1
  init: xavier_uniform
  precision: {precision}
seeds: {num_cells}
models: [{{name: nin}}]
"""


class _EnoughError(Exception):
    """All epochs have ended; the evaluation that would follow is not what is compared."""


def run_cells(folder: Path, data_name: str, size: Size, precision: str) -> LoopSpeed:
    """A cell per core, all at once, each on a batch per epoch.

    The clock goes from the end of the first cell's first epoch to that of the last cell's last; what the other
    cells do of their first epochs meanwhile is not counted. Start-up is all before: plan, processes, first epoch.
    """
    num_cells = len(choose_slots("cpu", None))
    epochs = 1 + size.steps
    path = folder / "grid.yaml"
    path.write_text(
        GRID.format(data_name=data_name, size=size, epochs=epochs, precision=precision, num_cells=num_cells)
    )
    ends: list[float] = []

    def listen(event: Event) -> None:
        if isinstance(event, EpochEnded):
            ends.append(time.perf_counter())
            if len(ends) == num_cells * epochs:
                raise _EnoughError

    began = time.perf_counter()
    grid, options = Grid.load(path, RegistryCatalog()), RunOptions(device="cpu", measure=False)
    with suppress(_EnoughError):
        run_grid(grid, ResultsFolder(folder / "results"), options, listen)
    num_images = num_cells * (epochs - 1) * size.batch_size
    return LoopSpeed(num_images / (ends[-1] - ends[0]), ends[0] - began)


def test_a_cell_per_core_beside_the_notebooks_loop(in_turn, tell, size: Size, data_name: str, tmp_path: Path):
    num_cores = len(choose_slots("cpu", None))

    def loop() -> LoopSpeed:
        arguments = (data_name, size.resolution, size.batch_size, size.steps, num_cores)
        return in_fresh_process(notebooks_loop.train, *arguments)

    def grid(precision: str) -> LoopSpeed:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        return in_fresh_process(run_cells, folder, data_name, size, precision)

    rounds = in_turn(lambda: (loop(), grid("fp32")), lambda: grid("bf16"), size.rounds)
    of_loop, of_fp32, of_bf16 = zip(*((loop, fp32, bf16) for (loop, fp32), bf16 in rounds), strict=True)
    cells = f"{num_cores} cells at once"
    for name, speeds, target in (("fp32", of_fp32, ""), ("bf16", of_bf16, "≥ 6×, aim 10×")):
        ratio = median(
            ours.images_per_second / theirs.images_per_second for ours, theirs in zip(speeds, of_loop, strict=True)
        )
        tell(f"training NiN, {cells}, {name}, to the notebooks' loop", ratio, "×", target)
    for name, speeds in (
        ("the notebooks' loop", of_loop),
        (f"{cells}, fp32", of_fp32),
        (f"{cells}, bf16", of_bf16),
    ):
        tell(f"… {name}", median(speed.images_per_second for speed in speeds), "images/s")
        tell(f"… before that, {name}", median(speed.startup_seconds for speed in speeds), "s")
