"""One cell on two cores together, beside the same cell on one."""

from contextlib import suppress
from pathlib import Path
from statistics import median

import pytest

from nin_bench.catalog import RegistryCatalog
from nin_bench.grid import Grid
from nin_bench.results import ResultsFolder
from nin_bench.runner.events import EpochEnded, Event
from nin_bench.runner.run import run_grid
from nin_bench.runner.session import RunOptions
from tests.benchmarks.figures import Size

GRID = """
schema: 1
name: together
data: {{name: {data_name}, resolution: {size.resolution}, train_size: {size.batch_size}, validation_size: 0}}
recipe: {{epochs: {epochs}, batch_size: {size.batch_size}, lr: 0.01, init: xavier_uniform}}
seeds: 1
models: [{{name: nin}}]
"""


class _EnoughError(Exception):
    """All epochs have ended; the evaluation that would follow is not what is compared."""


@pytest.mark.benchmark(group="one cell on two cores")
def test_two_cores_together_beside_one(in_turn, tell, size: Size, data_name: str, tmp_path: Path):
    """Images per second of training steps, one in each epoch, without the first."""
    path, epochs = tmp_path / "grid.yaml", 1 + size.steps
    path.write_text(GRID.format(data_name=data_name, size=size, epochs=epochs))
    grid = Grid.load(path, RegistryCatalog())

    def train(num_devices: int) -> float:
        seconds: list[float] = []

        def listen(event: Event) -> None:
            if isinstance(event, EpochEnded):
                seconds.append(event.row["seconds"])
                if len(seconds) == epochs:
                    raise _EnoughError

        folder = ResultsFolder(tmp_path / str(len(list(tmp_path.iterdir()))))
        options = RunOptions(device="cpu", workers=num_devices, measure=False, devices_per_cell=num_devices)
        with suppress(_EnoughError):
            run_grid(grid, folder, options, listen)
        return size.batch_size * size.steps / sum(seconds[1:])

    rounds = in_turn(lambda: train(1), lambda: train(2), size.rounds)
    alone, together = zip(*rounds, strict=True)
    ratio = median(two / one for one, two in rounds)
    tell("training NiN at full width, two cores together, to one", ratio, "×", "≥ 1.6×")
    tell("… one core", median(alone), "images/s")
    tell("… two cores together", median(together), "images/s")
