import time
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import TrialState, create_trial

from nin_bench.catalog import RegistryCatalog
from nin_bench.errors import ResultsError
from nin_bench.results.studies import BestTrial, TrialRun
from nin_bench.search.events import TrialEpoch, TrialResult
from nin_bench.search.study import GRACE_SECONDS, Searcher, VariantStudy, draws_of
from tests.search.search_grid_text import GRID, ONE

QMC = ONE.replace("trials: 3", "trials: 5\n  sampler: qmc")
TPE = QMC.replace("qmc", "tpe").replace("trials: 5", "trials: 14")
Open = Callable[..., VariantStudy]


@pytest.fixture
def storage() -> BaseStorage:
    return InMemoryStorage()


@pytest.fixture
def open_study(storage: BaseStorage, load: Any, catalog: RegistryCatalog) -> Open:
    """The first variant's study, opened as another search would."""

    def open_study(text: str = ONE, token: str = "me", *, shares: bool = False, **options: Any) -> VariantStudy:
        grid = load(text, **options)
        return VariantStudy(storage, grid, grid.variants[0], catalog, Searcher(token, shares))

    return open_study


def complete(study: VariantStudy, value: float = 0.5) -> dict[str, Any]:
    trial = study.ask()
    assert trial is not None
    study.finish(trial, TrialResult(value=value), {})
    return trial.params


def states(study: VariantStudy) -> list[str]:
    return [trial.state.name for trial in study.trials]


LOST = TrialResult(error="its process was killed")


# Draws


def test_draws_are_numbered_and_a_replacement_is_of_the_lost_trial_s():
    replaces = [None, None, 1, None, 2, 1, None]  # 5 comes second: 2 has replaced 1 before
    trials = [create_trial(value=0.0, user_attrs={} if lost is None else {"replaces": lost}) for lost in replaces]
    for number, trial in enumerate(trials):
        trial.number = number
    assert draws_of(trials) == {0: 0, 1: 1, 2: 1, 3: 2, 4: 1, 6: 3}
    assert draws_of(trials[::-1]) == draws_of(trials)


def test_a_study_asks_for_its_total_and_no_more(open_study):
    study = open_study()
    assert [complete(study)["lr"] for _ in range(3)] == [0.01, 0.1, 1.0]
    assert study.ask() is None
    assert (study.num_done, states(study)) == (3, ["COMPLETE"] * 3)


@pytest.mark.parametrize("text", [QMC, TPE, QMC.replace("qmc", "random")], ids=["qmc", "tpe", "random"])
def test_an_interrupted_search_draws_what_it_would_have_drawn(open_study, storage, text):
    whole = open_study(text)
    total = whole.spec.trials
    expected = [complete(whole, value=k % 4) for k in range(total)]
    storage.delete_study(whole.study._study_id)

    first = open_study(text)
    for k in range(total - 3):
        complete(first, value=k % 4)
    first.ask()  # and dies with this trial under way
    second = open_study(text)
    second.recover()
    for k in range(total - 3, total):
        complete(second, value=k % 4)
    assert second.ask() is None
    done = [trial.params for trial in second.trials if trial.state is TrialState.COMPLETE]
    assert done == expected
    assert states(second).count("FAIL") == 1


def test_a_lost_trial_is_replaced_with_its_values(open_study):
    study = open_study(QMC)
    complete(study)
    lost = study.ask()
    study.finish(lost, LOST, {})
    study.replace(lost)
    assert complete(study) == lost.params
    assert states(study) == ["COMPLETE", "FAIL", "COMPLETE"]
    assert study.num_done == 2


def test_a_trial_lost_too_often_is_left_for_the_next_search(open_study):
    study = open_study()
    lost = study.ask()
    study.finish(lost, LOST, {})
    study.given_up.add(0)
    study.recover()
    assert study.ask().params["lr"] == 0.1
    other = open_study()
    other.recover()
    assert other.ask().params["lr"] == 0.01


def test_more_trials_may_be_asked_for_of_a_sampler_that_can_go_on(open_study):
    study = open_study(QMC)
    first = [complete(study) for _ in range(5)]
    more = open_study(QMC, trials=7)
    again = [complete(more) for _ in range(2)]
    assert more.ask() is None
    assert len({params["lr"] for params in first + again}) == 7


def test_fewer_trials_leave_the_rest_out_of_the_choice(open_study):
    study = open_study(QMC)
    for value in (0.1, 0.3, 0.2, 0.9, 0.4):
        complete(study, value=value)
    fewer = open_study(QMC, trials=3)
    assert fewer.ask() is None
    assert fewer.summary().best.number == 1
    assert [trial.number for trial in fewer.summary().trials] == [0, 1, 2]
    assert [trial.number for trial in fewer.ended] == [0, 1, 2, 3, 4]


# Several searches at once


def test_searches_that_share_a_study_never_run_a_draw_twice(open_study):
    """Both ask in turn, one loses a trial, and one is late with its replacement."""
    one, two = open_study(QMC, "one", shares=True), open_study(QMC, "two", shares=True)
    asked = [one.ask(), two.ask(), one.ask(), two.ask(), one.ask()]
    assert sorted(trial.number for trial in asked) == [0, 1, 2, 3, 4]
    assert two.ask() is None
    one.finish(asked[2], LOST, {})
    two.recover()  # replaces it, since it looks lost for good
    one.replace(asked[2])  # and so does its own search
    again = one.ask()
    assert again.params == asked[2].params
    assert two.ask() is None
    assert one.ask() is None
    for study, trial in zip(
        (one, two, one, two, one), (asked[0], asked[1], again, asked[3], asked[4]), strict=True
    ):
        study.finish(trial, TrialResult(value=0.5), {})
    assert (one.num_done, one.num_elsewhere) == (5, 0)
    assert len(one.summary().trials) == 6  # five, and the one that was lost; none that never trained


@pytest.mark.parametrize("text", [ONE, QMC, TPE], ids=["grid", "qmc", "tpe"])
def test_a_second_replacement_is_never_trained(open_study, storage, text):
    one = open_study(text, shares=True)
    first = one.ask().params
    storage.delete_study(one.study._study_id)

    one = open_study(text, shares=True)
    lost = one.study.ask()  # and its search died before it could draw any values
    one.study.tell(lost, state=TrialState.FAIL)
    for _ in range(2):
        one.replace(lost)
    again = one.ask()
    assert again.number == 1
    assert again.params == first
    assert one.draw_of(one.ask().number) == 1
    assert states(one) == ["FAIL", "RUNNING", "FAIL", "RUNNING"]
    assert one.trials[2].user_attrs["surplus"]


def test_a_draw_too_many_is_never_trained(open_study):
    """Two searches see that one draw is left, and both ask for it."""
    one, two = open_study(shares=True), open_study(token="two", shares=True)
    complete(one)
    complete(one)
    last = one.study.ask(one.space)  # as the other does between two of our looks
    assert draws_of(one.trials)[last.number] == 2
    two.study.ask(two.space)
    assert draws_of(one.trials)[3] == 3
    assert two.ask() is None


def test_a_trial_is_given_up_once_its_search_is_silent_for_long(open_study):
    one, two = open_study(token="one", shares=True), open_study(token="two", shares=True)
    one.beat()
    trial = one.ask()
    two.recover()
    assert states(two) == ["RUNNING"]
    assert two.num_elsewhere == 1
    assert one.num_elsewhere == 0
    one.study.set_user_attr("searcher:one", time.time() - GRACE_SECONDS - 1)
    two.recover()
    assert states(two) == ["FAIL", "WAITING"]
    assert two.ask().params == trial.params

    # It was not dead after all: what it tells is told to nobody.
    one.report(trial, TrialEpoch(1, 0.5, []))
    one.finish(trial, TrialResult(value=0.5), {})
    assert states(two) == ["FAIL", "RUNNING"]


def test_a_trial_whose_search_never_said_so_is_not_dead_at_once(open_study):
    one, two = open_study(token="one", shares=True), open_study(token="two", shares=True)
    one.study.ask(one.space)  # and dies before it could say whose it is
    two.recover()
    assert states(two) == ["RUNNING"]


def test_alone_every_running_trial_is_a_dead_search_s(open_study):
    open_study(token="one").ask()
    study = open_study(token="two")
    study.recover()
    assert states(study) == ["FAIL", "WAITING"]
    (told,) = study.summary().trials
    assert told.model_dump() == {
        "number": 0, "state": "failed", "params": {"lr": 0.01}, "value": None, "diverged": False, "escaped": None,
        "error": "its search ended before it did", "epochs": None, "device_seconds": None,
        "overhead_seconds": None, "started_at": None, "finished_at": None, "runs": (),
    }  # fmt: skip


# What is told


def test_the_summary_tells_every_trial_and_the_best(open_study):
    study = open_study()
    trial = study.ask()
    runs = [{"seed": 10_000, "outcome": "trained", "value": 0.7, "failed": False, "escaped": True, "history": []}]
    study.finish(trial, TrialResult(value=0.7, epochs=2, device_seconds=1.5, runs=runs), {"overhead_seconds": 0.1})
    for value in (0.9, 0.9):
        complete(study, value=value)
    summary = study.summary()
    name = f"tiny/full/{study.variant.variant_id}"
    assert (summary.label, summary.study_name) == ("mlp hidden=16", name)
    assert summary.variant_id == study.variant.variant_id
    assert summary.trials[0].model_dump(exclude={"runs"}) == {
        "number": 0, "state": "complete", "params": {"lr": 0.01}, "value": 0.7, "diverged": False, "escaped": True,
        "error": None, "epochs": 2, "device_seconds": 1.5, "overhead_seconds": 0.1, "started_at": None,
        "finished_at": None,
    }  # fmt: skip
    assert summary.trials[0].runs == (TrialRun.model_validate(runs[0]),)
    assert summary.best == BestTrial(number=1, params={"lr": 0.1}, value=0.9)  # the first of equals
    # Through 0.7, 0.9 and 0.9 at -2, -1 and 0: y = 0.9 - 0.1 x - 0.1 x², whose top is at -1/2.
    assert summary.chosen == {"lr": 0.316}


def test_a_rate_at_which_a_network_failed_keeps_the_choice_away(open_study):
    study = open_study()
    for value, failed in ((0.7, [False, False]), (0.9, [False, False]), (0.45, [False, True])):
        runs = [
            {"seed": seed, "outcome": "trained", "failed": one, "escaped": not one}
            for seed, one in enumerate(failed)
        ]
        study.finish(study.ask(), TrialResult(value=value, runs=runs), {})
    assert study.summary().best.params == {"lr": 0.1}
    assert study.summary().chosen == {"lr": 0.0316}  # half a step below the best, which lies beside the cliff


@pytest.mark.parametrize(("escaped", "rate"), [(False, 0.0316), (True, 0.1)])
def test_a_trial_that_was_pruned_at_chance_level_marks_the_cliff(open_study, escaped, rate):
    study = open_study(f"{ONE}  pruner: median\n")
    for value in (0.7, 0.9):
        runs = [{"seed": 0, "outcome": "trained", "failed": False, "escaped": True}]
        study.finish(study.ask(), TrialResult(value=value, runs=runs), {})
    trial = study.ask()
    study.report(trial, TrialEpoch(1, 0.1, []))
    runs = [{"seed": 0, "outcome": "trained", "failed": None, "escaped": escaped}]
    study.finish(trial, TrialResult(pruned=True, epochs=1, runs=runs), {})
    assert study.summary().chosen == {"lr": rate}


@pytest.mark.parametrize("sampler", ["random", "qmc", "tpe"])
def test_of_drawn_values_the_best_trial_is_chosen(open_study, sampler):
    study = open_study(ONE.replace("trials: 3", f"trials: 3\n  sampler: {sampler}"))
    assert study.summary().chosen is None
    values = [complete(study, value=value) for value in (0.5, 0.9, 0.7)]
    assert study.summary().chosen == values[1]


def test_the_best_loss_is_the_smallest_and_a_pruned_trial_is_never_best(open_study):
    study = open_study(f"{ONE}  objective: validation_loss\n  pruner: median\n")
    assert study.summary().best is None
    for value in (0.5, 0.3):
        complete(study, value=value)
    trial = study.ask()
    study.report(trial, TrialEpoch(1, 0.1, []))
    study.finish(trial, TrialResult(pruned=True, epochs=1), {})
    assert study.summary().best == BestTrial(number=1, params={"lr": 0.1}, value=0.3)
    assert study.summary().trials[2].state == "pruned"
    assert study.summary().trials[2].value == 0.1
    assert study.num_done == 3


def test_the_median_pruner_ends_what_lies_below_the_median(open_study):
    study = open_study(QMC.replace("trials: 5", "trials: 6") + "  pruner: median\n")
    for value in (0.5, 0.6, 0.7, 0.8, 0.9):
        trial = study.ask()
        assert study.report(trial, TrialEpoch(1, value, []))
        study.finish(trial, TrialResult(value=value), {})
    trial = study.ask()
    assert study.decides(1)
    assert not study.report(trial, TrialEpoch(1, 0.65, []))  # the median of five is 0.7
    assert not study.decides(2)
    assert study.report(trial, TrialEpoch(2, 0.0, []))  # the last epoch is over: there is nothing to save


# Studies of other searches


@pytest.mark.parametrize(
    ("old", "new", "differs"),
    [
        ("high: 1.0", "high: 0.5", "space"),
        ("trials: 3", "trials: 3\n  epochs: 1", "epochs"),
        ("  seeds: 1", "  seeds: 2", "seeds"),
        ("trials: 3", "trials: 3\n  objective: validation_loss", "objective"),
        ("trials: 3", "trials: 3\n  pruner: median", "pruner"),
        ("trials: 3", "trials: 3\n  sampler: tpe", "sampler"),
        ("trials: 3", "trials: 4", "trials"),
    ],
)
def test_a_study_of_another_search_under_the_same_name_is_refused(open_study, old, new, differs):
    study = open_study()
    complete(study)
    before = study.summary()
    with pytest.raises(ResultsError) as refused:
        open_study(ONE.replace(old, new))
    told = str(refused.value)
    assert told.startswith("a study of 'mlp hidden=16' is there already, of another search (other ")
    assert differs in told
    assert told.endswith("choose another --storage or --results, or rename the grid")
    assert study.summary() == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("momentum: 0.9", "momentum: 0.9, lr: 0.5"),  # searched, so it changes nothing
        ("seeds: 2\nmodels", "seeds: 7\nmodels"),
        ("hidden: 16", "hidden: 16, recipe: {lr: 0.3}"),
    ],
)
def test_what_cannot_change_a_trial_may_change(open_study, old, new):
    study = open_study()
    complete(study)
    other = open_study(ONE.replace(old, new))
    assert other.variant.recipe.momentum == 0.9
    if other.name == study.name:
        assert other.num_done == 1


def test_somebody_else_s_study_under_the_same_name_is_refused(open_study, storage, load):
    name = f"tiny/full/{load(GRID).variants[0].variant_id}"
    theirs = optuna.create_study(storage=storage, study_name=name, direction="maximize")
    theirs.tell(theirs.ask(), 1.0)
    with pytest.raises(ResultsError, match="is there already, of another search"):
        open_study(GRID)
    assert len(theirs.trials) == 1


def test_a_summary_is_of_one_moment_whatever_other_searches_end_meanwhile(open_study, monkeypatch):
    """The better trial of another search ends between two looks at the storage."""
    ours, theirs = open_study(), open_study(token="other")
    complete(ours, value=0.5)
    read = vars(VariantStudy)["trials"].fget

    def trials(study):
        known = list(read(study))
        if study is ours and len(known) == 1:
            complete(theirs, value=0.9)
        return known

    monkeypatch.setattr(VariantStudy, "trials", property(trials))
    summary = ours.summary()
    assert summary.best.number in [trial.number for trial in summary.trials] == [0]
    assert ours.summary().best.value == 0.9
