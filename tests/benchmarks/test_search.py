"""What a pruner saves, and what a search adds to training; the figures stand in each test's extra_info."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import BaseStorage, InMemoryStorage

from nin_bench.catalog import RegistryCatalog
from nin_bench.grid import Grid
from nin_bench.results import ResultsFolder
from nin_bench.results.studies import TrialSummary
from nin_bench.runner.cell_training import CellTraining
from nin_bench.search.events import SearchEvent, TrialEnded, TrialEpoch, TrialResult
from nin_bench.search.run import SearchOptions, search_grid
from nin_bench.search.storage import open_storage, own_storage_url
from nin_bench.search.study import Searcher, VariantStudy
from tests.benchmarks.figures import Size

NEAR = 0.005
"""Half a point."""
GRID = """\
schema: 1
name: bench
data: {{name: digits}}
recipe: {{epochs: {epochs}, batch_size: 64}}
models: [{{name: mlp, hidden: 32}}]
search:
  space: {{lr: {{low: 1.0e-4, high: 3.0, log: true}}, momentum: {{low: 0.0, high: 0.95}}}}
  trials: {trials}
  seeds: 1
  sampler: random
  sampler_seed: {seed}
  pruner: {pruner}
"""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(verbosity)


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Grid]:
    def load(**fields: Any) -> Grid:
        path = tmp_path / "grid.yaml"
        path.write_text(GRID.format(**fields))
        return Grid.load(path, RegistryCatalog())

    return load


def open_study(grid: Grid, storage: BaseStorage) -> VariantStudy:
    return VariantStudy(storage, grid, grid.variants[0], RegistryCatalog(), Searcher("bench", shares=False))


def search(grid: Grid) -> list[tuple[int, float | None]]:
    """A whole study in this process: each trial's epochs and, if it was not pruned, its value; 0 if it failed."""
    study, done = open_study(grid, InMemoryStorage()), []
    while trial := study.ask():
        (cell,) = study.cells(trial)
        training, goes_on = CellTraining(cell), True
        with training.failures_noted():
            training.prepare()
            while goes_on and training.epochs_left:
                row = training.run_epoch()
                goes_on = study.report(trial, TrialEpoch(row["epoch"], row["validation_accuracy"], [row]))
            training.evaluate_on_train()
        well = training.outcome == "trained" and not training.metrics["failed"]
        value = training.history[-1]["validation_accuracy"] if well else 0.0
        study.finish(trial, TrialResult(value=value if goes_on else None, pruned=not goes_on), {})
        done.append((len(training.history), value if goes_on else None))
    return done


def spread(values: list[float]) -> float:
    """Their standard deviation; 0 of a single one, as where benchmarks run once to see that they run."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def epochs_until(done: list[tuple[int, float | None]], value: float) -> int | None:
    """Epochs spent when the first trial that ran to its end reached a value; None if none did."""
    spent = 0
    for epochs, reached in done:
        spent += epochs
        if reached is not None and reached >= value:
            return spent
    return None


@pytest.mark.benchmark(group="Hyperband against no pruner")
@pytest.mark.parametrize(("epochs", "target"), [(9, "< 49 %"), (27, "< 38 %")])
def test_hyperband(benchmark, load, size: Size, tell, epochs: int, target: str):
    shares, unpruned, spent, missed = [], [], [], 0

    def compare(seed: int) -> None:
        nonlocal missed
        fields = {"epochs": epochs, "trials": size.trials, "seed": seed}
        whole, pruned = (search(load(**fields, pruner=pruner)) for pruner in ("none", "hyperband"))
        total = sum(trained for trained, _ in whole)
        near = max(value for _, value in whole if value is not None) - NEAR
        needed = epochs_until(pruned, near)
        missed += needed is None
        shares.append(1.0 if needed is None else needed / total)
        unpruned.append((epochs_until(whole, near) or total) / total)
        spent.append(sum(trained for trained, _ in pruned) / total)

    seeds = iter(range(size.sampler_seeds))
    benchmark.pedantic(compare, setup=lambda: ((next(seeds),), {}), rounds=size.sampler_seeds)
    what = f"Hyperband, {size.trials} trials of {epochs} epochs: share of them to within half a point of the best"
    tell(what, statistics.fmean(shares), "share", target)
    tell(f"… its standard deviation over {size.sampler_seeds} sampler seeds", spread(shares), "share")
    tell("… sampler seeds that never came so near, counted as all epochs", missed / size.sampler_seeds, "share")
    tell("… without a pruner", statistics.fmean(unpruned), "share")
    tell("… share of them spent in all", statistics.fmean(spent), "share")


@pytest.mark.benchmark(group="what a search adds to a trial's training")
def test_overhead(benchmark, load, size: Size, tell, tmp_path: Path):
    """From one trial's end to the next one's, less the trial's own work; with one worker, 3 epochs, SQLite."""
    ended: list[float] = []

    def listen(event: SearchEvent) -> None:
        if isinstance(event, TrialEnded):
            ended.append(time.perf_counter())

    folder = ResultsFolder(tmp_path / "results")
    grid = load(epochs=3, trials=size.short_trials, seed=0, pruner="none")
    options = SearchOptions(device="cpu", workers=1)
    summary = benchmark.pedantic(search_grid, args=(grid, folder, options, listen), rounds=1)
    (study,) = summary.studies
    trials = study.summary().trials
    added = [
        after - before - trial.device_seconds
        for (before, after), trial in zip(pairwise(ended), trials[1:], strict=True)
    ]
    tell("what a search adds to a trial", statistics.median(added), "s", "≤ 0.2 s")
    tell("… the storage's part, SQLite", statistics.median(storage_seconds(grid, trials, tmp_path)), "s")


def storage_seconds(grid: Grid, trials: Sequence[TrialSummary], folder: Path) -> list[float]:
    """What the same trials take to be asked for and told in an SQLite file alone."""
    study, seconds = open_study(grid, open_storage(own_storage_url(folder))), []
    for told in trials:
        started = time.perf_counter()
        trial = study.ask()
        assert trial is not None
        for row in told.runs[0].history:
            assert row.validation_accuracy is not None
            study.report(trial, TrialEpoch(row.epoch, row.validation_accuracy, [row.known()]))
        study.finish(trial, TrialResult(value=told.value, runs=told.model_dump(mode="json")["runs"]), {})
        seconds.append(time.perf_counter() - started)
    return seconds
