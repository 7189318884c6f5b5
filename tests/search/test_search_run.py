"""Whole searches: real processes, real digits, real databases."""

import gzip
import json
import math
import multiprocessing
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from nin_bench.data.sources import DEBIAN_FASHION_MNIST
from nin_bench.errors import InputError, ResultsError
from nin_bench.failures import VariantStopped
from nin_bench.results import ResultsFolder
from nin_bench.results.folder_lock import sole_writer
from nin_bench.results.studies import SearchConfig
from nin_bench.runner.messages import Assignment
from nin_bench.runner.worker import run_cell
from nin_bench.search.events import SearchEvent, SearchPlanned, TrialEnded, TrialEpochEnded, TrialStarted
from nin_bench.search.storage import open_storage
from tests.search.search_grid_text import GRID, ONE

ENDLESS = ONE.replace("epochs: 2", "epochs: 100000")
TWO_SEEDS = GRID.replace("  seeds: 1", "  seeds: 2")
TWO_DRAWN = ONE.replace("trials: 3", "trials: 2\n  sampler: random")


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Leaves a bench as a search does; the search itself takes place once."""
    made: dict[str, Path] = {}

    def searched(bench: Any, text: str = ONE) -> Any:
        if text not in made:
            first = type(bench)(tmp_path_factory.mktemp("made"), bench.load)
            first.search(text)
            made[text] = first.folder.path
        shutil.copytree(made[text], bench.folder.path)
        return bench

    return searched


@pytest.fixture
def done(searched: Callable[..., Any], bench: Any) -> Any:
    """After a search of one variant."""
    return searched(bench)


def kill_the_worker(event: SearchEvent) -> None:
    """As the system does when memory runs out, as soon as a trial has told of an epoch."""
    if isinstance(event, TrialEpochEnded):
        for process in multiprocessing.active_children():
            os.kill(process.pid, signal.SIGKILL)


def kept(trial: dict[str, Any]) -> dict[str, Any]:
    """A trial without what differs from one time to the next."""
    told = {key: value for key, value in trial.items() if not key.endswith(("seconds", "_at"))}
    runs = [{**run, "history": [{**row, "seconds": 0} for row in run["history"]]} for run in trial["runs"]]
    return {**told, "runs": runs}


# A search from end to end


def test_every_variant_gets_the_same_rates_seeds_and_epochs(bench):
    summary = bench.search(TWO_SEEDS)
    assert summary.signal_number is None
    assert [study.num_done for study in summary.studies] == [3, 3]
    studies = bench.studies()
    assert list(studies) == ["mlp hidden=16", "mlp hidden=32"] or set(studies) == {
        "mlp hidden=16",
        "mlp hidden=32",
    }
    for study in studies.values():
        assert [trial["params"] for trial in study["trials"]] == [{"lr": 0.01}, {"lr": 0.1}, {"lr": 1.0}]
        for number, trial in enumerate(study["trials"]):
            assert (trial["number"], trial["state"], trial["error"]) == (number, "complete", None)
            assert [run["seed"] for run in trial["runs"]] == [10_000, 10_001]
            assert [row["epoch"] for run in trial["runs"] for row in run["history"]] == [1, 2, 1, 2]
            assert trial["epochs"] == 4
            assert trial["value"] == sum(run["value"] for run in trial["runs"]) / 2
            assert trial["device_seconds"] > 0
            assert trial["overhead_seconds"] > 0
            assert trial["started_at"] <= trial["finished_at"]
        best = max(study["trials"], key=lambda trial: trial["value"])
        assert study["best"] == {key: best[key] for key in ("number", "params", "value")}
    assert studies["mlp hidden=32"]["best"]["value"] > 0.8
    assert bench.files().keys() == {
        "search.json", "studies.db", *(f"studies/{study['variant_id']}.json" for study in studies.values()),
    }  # fmt: skip


def test_the_search_as_resolved_is_kept(searched, bench, load):
    searched(bench, TWO_SEEDS)
    search = json.loads((bench.folder.path / "search.json").read_text())
    grid = load(TWO_SEEDS)
    ids = [variant.variant_id for variant in grid.variants]
    assert search["search"] == {
        "space": {"lr": {"low": 0.01, "high": 1.0, "log": True}}, "trials": 3, "seeds": [10_000, 10_001],
        "epochs": 2, "run_epochs": dict.fromkeys(ids, 2), "sampler": "grid", "sampler_seed": 0, "pruner": "none",
        "objective": "validation_accuracy", "direction": "maximize",
    }  # fmt: skip
    assert {key: search[key] for key in ("schema", "name", "profile", "question", "storage", "source")} == {
        "schema": SearchConfig.SCHEMA, "name": "tiny", "profile": "full",
        "question": "which width at its own rate?",
        "storage": "sqlite", "source": TWO_SEEDS,
    }  # fmt: skip
    assert [(one["variant_id"], one["study_name"]) for one in search["variants"]] == [
        (one, f"tiny/full/{one}") for one in ids
    ]
    assert set(search) == {
        "schema", "name", "profile", "question", "source", "data", "recipe", "search", "storage", "variants",
        "baseline", "environment", "chance_loss", "digest",
    }  # fmt: skip
    assert [one["num_params"] for one in search["variants"]] == [(64 + 1) * 16 + 170, (64 + 1) * 32 + 330]
    # the digits' classes are nearly as frequent
    assert search["chance_loss"] == pytest.approx(math.log(10), abs=0.001)


def test_optuna_knows_every_epoch_s_value(done):
    storage = open_storage(f"sqlite:///{done.folder.path}/studies.db")
    study = optuna.load_study(study_name=done.studies()["mlp hidden=16"]["study_name"], storage=storage)
    for trial, told in zip(study.trials, done.trials("mlp hidden=16"), strict=True):
        (run,) = told["runs"]
        assert trial.intermediate_values == {row["epoch"]: row["validation_accuracy"] for row in run["history"]}
        assert trial.value == told["value"]


def test_what_happens_is_told_in_order(bench):
    bench.search(ONE, workers=1)
    assert [type(event).__name__ for event in bench.events] == [
        "SearchPlanned", *(["TrialStarted", "TrialEpochEnded", "TrialEpochEnded", "TrialEnded"] * 3),
    ]  # fmt: skip
    assert [event.params for event in bench.told(TrialStarted)] == [{"lr": 0.01}, {"lr": 0.1}, {"lr": 1.0}]
    assert [event.number for event in bench.told(TrialStarted)] == [0, 1, 2]
    assert len({event.key for event in bench.events[1:]}) == 3


def test_a_search_repeats_whatever_the_number_of_workers(bench, tmp_path_factory, load):
    text = TWO_SEEDS.replace("trials: 3", "trials: 3\n  sampler: tpe\n  pruner: hyperband").replace(
        "epochs: 2", "epochs: 4"
    )
    other = type(bench)(tmp_path_factory.mktemp("other"), load)
    bench.search(text, workers=1)
    other.search(text, workers=3)
    for ours, theirs in zip(bench.studies().values(), other.studies().values(), strict=True):
        assert [kept(trial) for trial in ours["trials"]] == [kept(trial) for trial in theirs["trials"]]


# Going on


def test_a_search_that_is_done_trains_nothing(done):
    before = done.files()
    summary = done.search(ONE)
    assert [type(event) for event in done.events] == [SearchPlanned]
    assert [study.num_done for study in summary.studies] == [3]
    assert done.files() == before


def test_a_search_that_is_done_needs_no_storage_and_leaves_where_it_was_trained(done):
    search = done.folder.path / "search.json"
    elsewhere = SearchConfig.read(search).model_copy(update={"environment": {"processor": "another"}})
    elsewhere.write(search)
    (done.folder.path / "studies.db").unlink()
    assert done.search(ONE).signal_number is None
    assert done.events == []
    assert SearchConfig.read(search) == elsewhere
    assert not (done.folder.path / "studies.db").exists()


def test_a_search_that_goes_on_says_where_it_did(searched, bench):
    searched(bench, TWO_DRAWN)
    search = bench.folder.path / "search.json"
    done = SearchConfig.read(search)
    done.model_copy(update={"environment": {"processor": "another"}}).write(search)
    bench.search(TWO_DRAWN, selection={"trials": 3})
    assert SearchConfig.read(search).environment == done.environment


def test_a_search_whose_storage_is_gone_writes_over_nothing(searched, bench):
    searched(bench, TWO_DRAWN)
    (bench.folder.path / "studies.db").unlink()
    before = bench.files()
    with pytest.raises(
        ResultsError, match=r"holds 2 trials of 'mlp hidden=16', of which the storage knows 0; give the"
    ):
        bench.search(TWO_DRAWN, selection={"trials": 3})
    assert bench.files() == before


def test_a_grid_that_grows_has_only_its_new_variants_searched(done):
    first = done.studies()["mlp hidden=16"]
    (done.folder.path / "studies.db").unlink()
    grown = ONE.replace("hidden: 16", "hidden: [16, 32]")
    for _ in range(2):  # with the storage gone, and with one that knows the new variant alone
        done.search(grown)
        assert {event.label for event in done.told(TrialStarted)} <= {"mlp hidden=32"}
        studies = done.studies()
        assert studies["mlp hidden=16"] == first
        assert [trial["state"] for trial in studies["mlp hidden=32"]["trials"]] == 3 * ["complete"]
    assert done.told(TrialStarted) == []


def test_a_signal_stops_a_search_and_the_next_one_does_the_rest(bench, searched):
    sent = []

    def send_once(event: SearchEvent) -> None:
        if isinstance(event, TrialEpochEnded) and not sent:
            sent.append(True)
            signal.raise_signal(signal.SIGINT)

    # With a pruner a trial goes on only when it was told to, so that none is over before the signal arrives.
    text = GRID.replace("epochs: 2", "epochs: 3").replace("trials: 3", "trials: 3\n  pruner: median")
    before = signal.getsignal(signal.SIGINT)
    assert bench.search(text, on_event=send_once).signal_number == signal.SIGINT
    assert signal.getsignal(signal.SIGINT) is before
    assert not multiprocessing.active_children()
    lost = [trial for study in bench.studies().values() for trial in study["trials"]]
    assert {(trial["state"], trial["error"]) for trial in lost} == {
        ("failed", "seed 10000: interrupted: stopped before its end")
    }

    bench.search(text)
    whole = searched(type(bench)(bench.folder.path.parent / "whole", bench.load), text)
    for label in ("mlp hidden=16", "mlp hidden=32"):
        done = [kept(trial) for trial in bench.trials(label) if trial["state"] == "complete"]
        expected = [kept(trial) for trial in whole.trials(label)]
        assert [{**trial, "number": 0} for trial in done] == [{**trial, "number": 0} for trial in expected]


def test_a_trial_whose_worker_is_killed_is_tried_again_and_then_left(bench):
    summary = bench.search(ENDLESS, on_event=kill_the_worker, retries=1, max_failures=7, workers=1)
    assert [event.will_retry for event in bench.told(TrialEnded)] == [True, False] * 3
    assert [study.num_done for study in summary.studies] == [0]
    trials = bench.trials("mlp hidden=16")
    assert [trial["params"]["lr"] for trial in trials] == [0.01, 0.01, 0.1, 0.1, 1.0, 1.0]
    assert {trial["state"] for trial in trials} == {"failed"}
    assert (trials[0]["epochs"], trials[0]["device_seconds"], trials[0]["overhead_seconds"]) == (None, None, None)
    assert trials[0]["error"] == "its process was killed by SIGKILL (the system may have run out of memory)"
    assert bench.studies()["mlp hidden=16"]["best"] is None
    assert not bench.told(VariantStopped)


def test_a_variant_whose_trials_are_lost_alike_is_stopped_until_the_next_search(bench):
    summary = bench.search(ENDLESS, on_event=kill_the_worker, retries=1, workers=1)
    assert [event.will_retry for event in bench.told(TrialEnded)] == [True, False, False]
    assert [trial["params"]["lr"] for trial in bench.trials("mlp hidden=16")] == [0.01, 0.01, 0.1]
    (stopped,) = bench.told(VariantStopped)
    assert (stopped.label, stopped.error) == ("mlp hidden=16", bench.trials("mlp hidden=16")[2]["error"])
    assert stopped.unneeded == [summary.studies[0].key_of(2)]

    bench.search(ENDLESS, on_event=kill_the_worker, retries=1, max_failures=1, workers=1)
    assert [event.params["lr"] for event in bench.told(TrialStarted)] == [0.01]
    assert len(bench.told(VariantStopped)[0].unneeded) == 2


def test_a_narrowed_search_leaves_the_rest_for_later(bench):
    summary = bench.search(selection={"only": "*16"})
    assert [study.variant.label for study in summary.studies] == ["mlp hidden=16"]
    assert set(bench.studies()) == {"mlp hidden=16"}
    bench.search()
    assert len(bench.told(TrialStarted)) == 3
    assert set(bench.studies()) == {"mlp hidden=16", "mlp hidden=32"}


def test_more_trials_and_more_variants_may_be_asked_for(searched, bench):
    searched(bench, TWO_DRAWN)
    bench.search(TWO_DRAWN.replace("hidden: 16", "hidden: [16, 32]"), selection={"trials": 3})
    studies = bench.studies()
    assert [len(study["trials"]) for study in studies.values()] == [3, 3]
    # The same draws for all, since the sampler does not learn.
    one, other = (
        [trial["params"] for trial in sorted(study["trials"], key=lambda trial: trial["number"])]
        for study in studies.values()
    )
    assert one == other


def test_fewer_trials_than_are_there_are_refused_and_nothing_is_left_out(searched, bench):
    searched(bench, TWO_DRAWN)
    before = bench.files()
    with pytest.raises(ResultsError) as refused:
        bench.search(TWO_DRAWN, selection={"trials": 1})
    assert str(refused.value) == (
        f"{bench.folder.path}: holds 2 trials of 'mlp hidden=16', and 1 are asked for; ask for 2 or more, or "
        "choose another folder with --results"
    )
    assert bench.files() == before


# Failures that are results


def test_what_diverged_is_told_as_the_worst_and_kept(bench):
    text = ONE.replace("low: 1.0e-2, high: 1.0", "low: 0.1, high: 1.0e+38")
    bench.search(text)
    good, *bad = bench.trials("mlp hidden=16")
    assert (good["state"], good["diverged"], good["escaped"]) == ("complete", False, True)
    assert [(trial["state"], trial["value"], trial["diverged"]) for trial in bad] == [("complete", 0.0, True)] * 2
    assert [trial["runs"][0]["outcome"] for trial in bad] == ["diverged"] * 2
    assert bench.studies()["mlp hidden=16"]["best"]["number"] == 0


def test_what_never_escaped_is_told_as_the_worst_and_kept(bench):
    bench.search(ONE.replace("low: 1.0e-2, high: 1.0", "low: 1.0e-6, high: 0.1"))
    stuck = bench.trials("mlp hidden=16")[0]
    assert (stuck["state"], stuck["value"], stuck["escaped"]) == ("complete", 0.0, False)
    assert stuck["runs"][0]["history"][-1]["validation_accuracy"] > 0


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_a_pruner_spends_less_and_the_total_stays(bench, pruner):
    text = ONE.replace("trials: 3", f"trials: 10\n  sampler: random\n  pruner: {pruner}")
    bench.search(text.replace("epochs: 2", "epochs: 9").replace("low: 1.0e-2", "low: 1.0e-4"))
    trials = bench.trials("mlp hidden=16")
    assert len(trials) == 10
    pruned = [trial for trial in trials if trial["state"] == "pruned"]
    assert 0 < len(pruned) < 10
    for trial in pruned:
        assert 0 < trial["epochs"] < 9
        assert trial["value"] == trial["runs"][0]["history"][-1]["validation_accuracy"]
    assert all(trial["epochs"] == 9 for trial in trials if trial["state"] == "complete")
    best = bench.studies()["mlp hidden=16"]["best"]
    assert trials[best["number"]]["state"] == "complete"


# What is never read


@pytest.mark.fashion
def test_no_test_image_is_read(bench, tmp_path, catalog, load):
    """Real images, whose test set is a trap: whoever opens it, fails. Not even a diagnostic may."""
    raw = tmp_path / "data" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    installed = [DEBIAN_FASHION_MNIST, Path(os.environ.get("NIN_BENCH_DATA", ""), "FashionMNIST", "raw")]
    for part in ("images-idx3-ubyte", "labels-idx1-ubyte"):
        (source,) = [path for folder in installed for path in folder.glob(f"train-{part}.gz")][:1]
        shutil.copy(source, raw)
        (raw / f"t10k-{part}.gz").write_bytes(gzip.compress(b"not the test images"))
    text = ONE.replace("name: digits", "name: fashion_mnist, train_size: 200, validation_size: 100").replace(
        "epochs: 2", "epochs: 1, test_every_epoch: true"
    )
    bench.search(text.replace("trials: 3", "trials: 2"), data_dir=tmp_path / "data")
    trials = bench.trials("mlp hidden=16")
    assert [trial["state"] for trial in trials] == ["complete", "complete"]
    assert not any("test" in key for trial in trials for row in trial["runs"][0]["history"] for key in row)

    record = run_cell(Assignment(load(text).variants[0].cell(0), tmp_path / "data")).record
    assert record.outcome == "crashed"
    assert "t10k" in record.attempts[0].error


# Refusals


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("name: digits", "name: digits, validation_size: 0",
         "4:39: data.validation_size: mlp hidden=16: 0, but a search chooses by validation images; use more"),
        ("name: digits", "name: digits, resolution: [8, 16]",
         "4:35: data.resolution[0]: one of several, but a tuned grid cannot hold a recipe for each"),
        ("hidden: 16}", "hidden: 16}\n  - {name: lenet}", "lenet: resolution: 8 is too small for these layers"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_refused_and_nothing_is_made(bench, tmp_path, old, new, expected):
    with pytest.raises(InputError) as refused:
        bench.search(ONE.replace(old, new))
    assert expected in str(refused.value)
    assert not bench.folder.path.exists()


def test_a_model_that_cannot_be_built_at_the_end_of_a_range_is_refused(bench):
    text = ONE.replace("{name: mlp, hidden: 16}", "{name: lenet}").replace("digits", "digits, resolution: 28")
    space = "space: {model.width: {low: 1.0e-3, high: 1.0}}"
    with pytest.raises(InputError, match=r"grid\.yaml:8:5: models\[0\]: lenet: width: 0\.001 "):
        bench.search(text.replace("space: {lr: {low: 1.0e-2, high: 1.0, log: true}}", space))


def test_a_grid_without_a_search_is_refused(bench):
    with pytest.raises(
        InputError, match="tiny: has no `search` section; add one with a space and a number of trials"
    ):
        bench.search(ONE.partition("search:")[0])
    assert not bench.folder.path.exists()


@pytest.mark.parametrize(
    ("old", "new", "differs"),
    [
        ("high: 1.0", "high: 0.5", "search.space.lr.high 1.0, now 0.5"),
        ("momentum: 0.9", "momentum: 0.8", "recipe.momentum 0.9, now 0.8"),
        ("name: digits", "name: digits, normalize: dataset", "data.normalize 'none', now 'dataset'"),
        ("trials: 3", "trials: 2", "search.trials 3, now 2"),
        ("trials: 3\n  seeds: 1", "trials: 4\n  seeds: 2", "search.trials 3, now 4, other search.seeds"),
    ],
)
def test_another_search_in_the_same_folder_is_refused_and_nothing_is_overwritten(done, old, new, differs):
    before = done.files()
    with pytest.raises(ResultsError) as refused:
        done.search(ONE.replace(old, new))
    assert str(refused.value) == (
        f"{done.folder.path}: holds another search ({differs}); undo the change, or choose another folder with "
        "--results"
    )
    assert done.files() == before


def test_a_shared_storage_s_other_search_is_refused_and_nothing_is_made(bench, tmp_path):
    url = f"sqlite:///{tmp_path}/shared.db"
    bench.search(ONE, storage=url)
    bench.folder = ResultsFolder(tmp_path / "other" / "tiny" / "full")
    with pytest.raises(ResultsError, match=r"is there already, of another search \(other space\)"):
        bench.search(ONE.replace("high: 1.0", "high: 0.5"), storage=url)
    assert not bench.folder.path.exists()


def test_a_folder_in_use_is_refused(bench):
    with sole_writer(bench.folder.path), pytest.raises(ResultsError, match="in use by process"):
        bench.search(ONE)


def test_a_storage_that_cannot_be_reached_is_refused_and_nothing_is_made(bench):
    with pytest.raises(
        ResultsError, match=r"absent/studies\.db: the storage failed: unable to open database file"
    ):
        bench.search(ONE, storage="sqlite:////absent/studies.db")
    assert not bench.folder.path.exists()


def test_a_storage_that_breaks_under_way_is_told_and_the_workers_end(bench):
    def break_it(event: SearchEvent) -> None:
        if isinstance(event, TrialStarted):
            with sqlite3.connect(bench.folder.path / "studies.db") as connection:
                connection.execute("DROP TABLE trial_intermediate_values")

    with pytest.raises(
        ResultsError, match="the storage failed: no such table: trial_intermediate_values; mend it"
    ):
        bench.search(ONE, on_event=break_it)
    assert not multiprocessing.active_children()
