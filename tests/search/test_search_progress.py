import io
from collections.abc import Iterator
from typing import Any

import pytest
from optuna.storages import InMemoryStorage
from search_grid_text import ONE

from nin_bench.executors import Slot
from nin_bench.plan import RegistryCatalog
from nin_bench.progress import display
from nin_bench.progress.search import search_progress_on
from nin_bench.search.run import SearchEvent, SearchPlanned, TrialEnded, TrialEpochEnded, TrialStarted
from nin_bench.search.study import Searcher, VariantStudy
from nin_bench.search.trial import TrialEpoch, TrialResult

SLOTS = [Slot("cpu", 0), Slot("cpu", 1)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    now = [0.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    return now


def lines_of(study: VariantStudy, *events: SearchEvent) -> list[str]:
    stream = io.StringIO()
    with search_progress_on(stream, "tiny, profile full") as listen:
        for event in (SearchPlanned([study], SLOTS), *events):
            listen(event)
    return stream.getvalue().splitlines()


def study(load: Any, catalog: RegistryCatalog, text: str = ONE) -> VariantStudy:
    """With one of its trials done before."""
    grid = load(text)
    opened = VariantStudy(InMemoryStorage(), grid, grid.variants[0], catalog, Searcher("me", shares=False))
    opened.finish(opened.ask(), TrialResult(value=0.5), {})
    return opened


def test_each_event_is_a_line(load, catalog, clock):
    one = study(load, catalog)
    stuck = [{"outcome": "diverged", "escaped": None}, {"outcome": "trained", "escaped": False}]
    assert lines_of(
        one,
        TrialStarted(one, 1, 1, {"lr": 0.050236, "init": "normal"}, "cpu"),
        TrialEpochEnded(one, 1, 1, TrialEpoch(1, 0.7777, [])),
        TrialEnded(one, 1, 1, TrialResult(error="it was killed"), will_retry=True),
        TrialStarted(one, 2, 1, {"lr": 0.05, "init": "normal"}, "cpu"),
        TrialEpochEnded(one, 2, 1, TrialEpoch(1, 0.7777, [])),
        TrialEpochEnded(one, 2, 1, TrialEpoch(2, 0.8, [])),
        TrialEnded(one, 2, 1, TrialResult(value=0.8), will_retry=False),
        TrialStarted(one, 3, 2, {"lr": 1.0, "init": "normal"}, "cpu"),
        TrialEnded(one, 3, 2, TrialResult(value=0.0, runs=stuck), will_retry=False),
    ) == [
        "tiny, profile full",
        "2 of 3 trials to run (1 done before) on 2 × cpu",
        "mlp hidden=16 trial 1: started on cpu with lr=0.0502, init=normal",
        "mlp hidden=16 trial 1: epoch 1/2, validation accuracy 77.8%",
        "[0/2, less than a minute left] mlp hidden=16 trial 1: failed: it was killed; will be tried again",
        "mlp hidden=16 trial 2: started on cpu with lr=0.05, init=normal",
        "mlp hidden=16 trial 2: epoch 1/2, validation accuracy 77.8%",
        "mlp hidden=16 trial 2: epoch 2/2, validation accuracy 80.0%",
        "[1/2, less than a minute left] mlp hidden=16 trial 2: validation accuracy 80.0%",
        "mlp hidden=16 trial 3: started on cpu with lr=1, init=normal",
        "[2/2] mlp hidden=16 trial 3: validation accuracy 0.0%, where a seed that diverged or never escaped "
        "counts as 0",
    ]


def test_a_seed_that_fell_back_is_told_and_a_lost_trial_is_not_done(load, catalog, clock):
    one = study(load, catalog)
    fell = [{"outcome": "trained", "escaped": True, "value": 0.0, "history": [{"validation_accuracy": 0.1}]}]
    assert lines_of(
        one,
        TrialStarted(one, 1, 1, {"lr": 0.1}, "cpu"),
        TrialEnded(one, 1, 1, TrialResult(value=0.0, runs=fell), will_retry=False),
        TrialStarted(one, 2, 2, {"lr": 1.0}, "cpu"),
        TrialEnded(one, 2, 2, TrialResult(error="interrupted"), will_retry=False),
    )[2:] == [
        "mlp hidden=16 trial 1: started on cpu with lr=0.1",
        "[1/2] mlp hidden=16 trial 1: validation accuracy 0.0%, where a seed that fell back to chance level "
        "counts as 0",
        "mlp hidden=16 trial 2: started on cpu with lr=1",
        "[1/2] mlp hidden=16 trial 2: failed: interrupted",
    ]


def test_losses_are_told_as_such_and_what_was_pruned_as_well(load, catalog, clock):
    one = study(load, catalog, f"{ONE}  objective: validation_loss\n")
    lines = lines_of(
        one,
        TrialStarted(one, 1, 1, {"lr": 0.1}, "cpu"),
        TrialEpochEnded(one, 1, 1, TrialEpoch(1, 1.23456, [])),
        TrialEnded(one, 1, 1, TrialResult(pruned=True), will_retry=False),
    )
    assert lines[-2:] == [
        "mlp hidden=16 trial 1: epoch 1/2, validation loss 1.235",
        "[1/2, less than a minute left] mlp hidden=16 trial 1: pruned",
    ]


def test_the_time_left_counts_epochs_of_the_draws_still_to_be_done(load, catalog, clock):
    one = study(load, catalog)
    stream = io.StringIO()
    with search_progress_on(stream, "tiny") as listen:
        listen(SearchPlanned([one], SLOTS))
        clock[0] = 600.0
        # Two of four epochs took ten minutes.
        for event in (
            TrialStarted(one, 1, 1, {"lr": 0.1}, "cpu"),
            TrialEpochEnded(one, 1, 1, TrialEpoch(1, 0.5, [])),
            TrialEpochEnded(one, 1, 1, TrialEpoch(2, 0.5, [])),
            TrialEnded(one, 1, 1, TrialResult(value=0.5), will_retry=False),
        ):
            listen(event)
    assert stream.getvalue().splitlines()[-1].startswith("[1/2, about 10 min left] ")
