"""Several searches in one PostgreSQL database: Debian's server, started for these tests."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import optuna
import pytest

from nin_bench.grid import SearchSpec
from nin_bench.results.studies import Range
from nin_bench.search.samplers import distributions, make_sampler
from tests.search.search_grid_text import ONE

ROOT = Path(__file__).parent.parent.parent
TRIALS = 12
SEARCHES = 3


def start(folder: Path, name: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "nin_bench", "search", "--grid", "grid.yaml", "--results", name, *arguments]
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def drawn_alone() -> list[float]:
    """What one search draws in all its trials; rounded, two may be equal."""
    lr = Range(low=1e-2, high=1.0, log=True)
    spec = SearchSpec(space={"lr": lr}, trials=TRIALS, sampler="random")
    study = optuna.create_study(sampler=make_sampler(spec, draw_of=lambda number: number))
    return [study.ask(distributions(spec)).params["lr"] for _ in range(TRIALS)]


def first_trial_in(
    storage: optuna.storages.RDBStorage, search: "subprocess.Popen[str]"
) -> tuple[optuna.Study, int]:
    """The one study, and the number of a trial that the search has just begun."""
    while search.poll() is None:
        for name in optuna.get_all_study_names(storage):
            study = optuna.load_study(study_name=name, storage=storage)
            for trial in study.trials:
                if trial.state.name == "RUNNING" and "searcher" in trial.user_attrs:
                    return study, trial.number
    raise AssertionError(search.communicate())


def test_of_four_searches_of_one_study_one_is_killed_and_none_of_its_trials_is_lost_or_run_twice(
    postgresql: str, tmp_path: Path, request: pytest.FixtureRequest
):
    grid = ONE.replace("epochs: 2", "epochs: 20").replace("trials: 3", f"trials: {TRIALS}\n  sampler: random")
    (tmp_path / "grid.yaml").write_text(grid)
    options = ("--device", "cpu", "--workers", "1", "--storage", postgresql)
    killed = start(tmp_path, "results of the killed one", *options)
    storage = optuna.storages.RDBStorage(postgresql)
    request.addfinalizer(storage.engine.dispose)
    study, lost = first_trial_in(storage, killed)
    killed.kill()
    killed.communicate()
    token = study.trials[lost].user_attrs["searcher"]
    study.set_user_attr(f"searcher:{token}", 0.0)  # as if it had been dead for long
    searches = [start(tmp_path, f"results{number}", *options) for number in range(SEARCHES)]
    told = [search.communicate() for search in searches]
    assert [search.returncode for search in searches] == [0] * SEARCHES, told
    done = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    assert len(done) == TRIALS
    failed = [trial for trial in study.trials if trial not in done]
    assert {trial.state.name for trial in failed} == {"FAIL"}
    assert [trial.number for trial in failed if "surplus" not in trial.user_attrs] == [lost]
    # Each of the values that one search alone would have drawn was trained as often as it was drawn.
    assert Counter(trial.params["lr"] for trial in done) == Counter(drawn_alone())
    took_part = Counter(trial.user_attrs["searcher"] for trial in done)
    assert len(took_part) > 1
    # Each of them has all trials in its own folder, and chose the same.
    kept = [sorted((tmp_path / f"results{number}").rglob("studies/*.json")) for number in range(SEARCHES)]
    assert len({path.read_text() for (path,) in kept}) == 1
    tuned = set()
    for number in range(SEARCHES):
        text = (tmp_path / f"results{number}" / "tiny" / "full" / "tuned.yaml").read_text()
        grid_text, _digest = text.rsplit("# Written by ", 1)
        tuned.add(grid_text.replace(f"--grid results{number}/", "--grid results/"))  # how each is run
    assert len(tuned) == 1
