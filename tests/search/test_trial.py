import math
from collections.abc import Sequence
from multiprocessing import Pipe
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch

from nin_bench.catalog import RegistryCatalog
from nin_bench.cell import Cell, DataSpec, Recipe
from nin_bench.executors import Slot
from nin_bench.executors.process import PipeChannel
from nin_bench.results.records import Epoch
from nin_bench.runner.messages import Assignment
from nin_bench.runner.worker import run_cell
from nin_bench.search.events import TrialEpoch, TrialResult
from nin_bench.search.trial import WORST_LOSS, run_trial_task
from tests.cells import repeated

SLOT = Slot("cpu")
NEVER_LEARNS = 1e-6
DIVERGES = 1e38


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def cells(catalog: RegistryCatalog, seeds: Sequence[int] = (7, 8), lr: float = 0.1, **recipe: Any) -> list[Cell]:
    model = catalog.resolve_model("mlp", {"hidden": 16})
    data = catalog.resolve_data(DataSpec(name="digits"))
    fields = {"epochs": 2, "batch_size": 64, "momentum": 0.9, **recipe}
    return [Cell(model=model, data=data, recipe=Recipe(lr=lr, **fields), seed=seed) for seed in seeds]


def run(
    cells: Sequence[Cell],
    objective: str = "validation_accuracy",
    answers: Sequence[bool] | None = None,
    data_dir: Path | None = None,
) -> tuple[TrialResult, list[TrialEpoch]]:
    """A trial in this process, whose parent answers what it asks; and what it told."""
    ours, theirs = Pipe()
    told = []

    def listen() -> None:
        waiting = list(answers or ())
        while (news := ours.recv()[1]) is not None:
            told.append(news)
            if waiting:
                ours.send(("answer", waiting.pop(0)))

    parent = Thread(target=listen)
    parent.start()
    channel = PipeChannel(theirs, asked_at=0.0)
    result = run_trial_task(channel, SLOT, cells, objective, answers is not None, data_dir)
    channel.send(None)
    parent.join()
    return result, told


def test_networks_trained_side_by_side_are_those_trained_alone(catalog):
    chosen = cells(catalog)
    result, told = run(chosen)
    alone = [run_cell(Assignment(cell)).record for cell in chosen]
    assert (result.pruned, result.error, result.diverged, result.escaped) == (False, None, False, True)
    for ours, theirs in zip(result.runs, alone, strict=True):
        assert ours["seed"] == theirs.cell.seed
        assert ours["outcome"] == "trained"
        assert ours["value"] == theirs.metrics.validation_accuracy
        for key in ("failed", "escaped", "escape_epoch", "num_steps"):
            assert ours[key] == getattr(theirs.metrics, key)
        assert [repeated(Epoch.model_validate(row)) for row in ours["history"]] == [
            repeated(row) for row in theirs.history
        ]
    assert result.value == sum(run["value"] for run in result.runs) / 2
    assert result.epochs == 4
    assert result.device_seconds > sum(row["seconds"] for run in result.runs for row in run["history"])
    assert [(news.epoch, len(news.rows)) for news in told] == [(1, 2), (2, 2)]
    assert told[1].value == result.value
    assert told[0].value == sum(run["history"][0]["validation_accuracy"] for run in result.runs) / 2


def test_the_loss_may_be_the_objective(catalog):
    result, told = run(cells(catalog), "validation_loss")
    losses = [run["history"][-1]["validation_loss"] for run in result.runs]
    assert result.value == sum(losses) / 2 == told[1].value
    assert 0 < result.value < math.log(10)


# Networks that do not train


@pytest.mark.parametrize(("objective", "worst"), [("validation_accuracy", 0.0), ("validation_loss", WORST_LOSS)])
def test_networks_that_diverge_or_never_escape_count_as_the_worst(catalog, objective, worst):
    (well,), (stuck,), (diverged,) = (
        cells(catalog, [seed], lr, epochs=3) for seed, lr in ((7, 0.1), (8, NEVER_LEARNS), (9, DIVERGES))
    )
    result, told = run([well, stuck, diverged], objective)
    assert [run["outcome"] for run in result.runs] == ["trained", "trained", "diverged"]
    assert [run["escaped"] for run in result.runs] == [True, False, None]
    assert [run["failed"] for run in result.runs] == [False, True, True]
    assert (result.error, result.diverged, result.escaped) == (None, True, False)
    good, *bad = (run["value"] for run in result.runs)
    chance = math.log(10) if objective == "validation_loss" else 1.0  # the digits' classes are nearly as frequent
    assert bad == pytest.approx([worst * chance] * 2, rel=0.01)
    assert result.value == pytest.approx((good + sum(bad)) / 3)
    assert [len(run["history"]) for run in result.runs] == [3, 3, 0]
    assert result.epochs == 6
    # Before the end a network that has not escaped yet may still do so.
    stuck_value = result.runs[1]["history"][0][objective]
    first = [result.runs[0]["history"][0][objective], stuck_value, bad[1]]
    assert told[0].value == pytest.approx(sum(first) / 3)


@pytest.mark.parametrize(("objective", "worst"), [("validation_accuracy", 0.0), ("validation_loss", WORST_LOSS)])
def test_a_network_that_falls_back_to_chance_level_counts_as_the_worst(catalog, objective, worst):
    """It learns while the rate is still low."""
    chosen = cells(catalog, [7], 2.0, epochs=4, batch_size=16, schedule="one_cycle")
    result, told = run(chosen, objective)
    (fell_back,) = result.runs
    assert (fell_back["outcome"], fell_back["escaped"], fell_back["failed"]) == ("trained", True, True)
    assert fell_back["history"][-1]["train_loss"] > math.log(10)
    assert result.value == fell_back["value"] == pytest.approx(worst * math.log(10), rel=0.01)
    assert told[-1].value == fell_back["history"][-1][objective]  # before the end it might still recover


def test_a_trial_all_of_whose_networks_diverge_ends_at_once_and_has_a_value(catalog):
    result, told = run(cells(catalog, lr=DIVERGES, epochs=50))
    assert (result.value, result.error, result.diverged, result.epochs) == (0.0, None, True, 0)
    assert [run["num_steps"] for run in result.runs] == [1, 1]
    assert told == []


def test_what_is_not_known_of_an_escape_is_no_failure(catalog):
    """Ten steps are too few to tell."""
    result, _ = run(cells(catalog, epochs=1, batch_size=128))
    assert [run["escaped"] for run in result.runs] == [None, None]
    assert result.escaped is None
    assert result.value > 0.1


# Trials that end early


def test_a_trial_that_is_told_to_ends_after_that_epoch(catalog):
    result, told = run(cells(catalog, epochs=5), answers=[True, True, False])
    assert (result.pruned, result.value, result.error, result.epochs) == (True, None, None, 6)
    assert [news.epoch for news in told] == [1, 2, 3]
    assert result.runs[0]["value"] == result.runs[0]["history"][-1]["validation_accuracy"]


def test_a_trial_does_not_ask_after_its_last_epoch(catalog):
    result, told = run(cells(catalog), answers=[True])
    assert (result.pruned, len(told)) == (False, 2)
    assert result.value is not None


def test_a_trial_that_is_pruned_at_chance_level_is_not_known_to_be_stuck(catalog):
    result, _ = run(cells(catalog, lr=NEVER_LEARNS, epochs=5), answers=[False])
    assert result.pruned
    assert result.runs[0]["failed"] is None
    assert result.runs[0]["value"] == result.runs[0]["history"][0]["validation_accuracy"]


@pytest.mark.parametrize("asks", [False, True])
def test_a_trial_that_is_stopped_is_lost(catalog, asks):
    ours, theirs = Pipe()
    ours.send(("stop", None))
    result = run_trial_task(
        PipeChannel(theirs, asked_at=0.0), SLOT, cells(catalog, epochs=1000), "validation_accuracy", asks, None
    )
    assert result.error == "seed 7: interrupted: stopped before its end"
    assert (result.value, result.pruned) == (None, False)


def test_a_trial_that_is_stopped_while_it_waits_is_lost(catalog):
    ours, theirs = Pipe()

    def stop_when_asked() -> None:
        ours.recv()
        ours.send(("stop", None))

    parent = Thread(target=stop_when_asked)
    parent.start()
    result = run_trial_task(
        PipeChannel(theirs, asked_at=0.0), SLOT, cells(catalog, epochs=1000), "validation_accuracy", True, None
    )
    parent.join()
    assert (result.pruned, result.epochs) == (False, 2)
    assert result.error == "seed 7: interrupted: stopped before its end"


def test_a_trial_whose_images_are_gone_is_lost_and_names_no_folder(catalog, tmp_path):
    spec = DataSpec(name="image_folder", folder="cats", content="0" * 16, resolution=8, validation_size=1)
    trial = [cell.model_copy(update={"data": spec}) for cell in cells(catalog)]
    result, told = run(trial, data_dir=tmp_path / "absent")
    assert result.error.startswith("seed 7: crashed: InputError: ")
    assert str(tmp_path) not in result.error
    assert (result.value, told) == (None, [])
    assert [run["outcome"] for run in result.runs] == ["crashed", "trained"]  # the second was never begun
