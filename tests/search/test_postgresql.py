"""Several searches in one PostgreSQL database: Debian's server, started for these tests."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

from nin_bench.grid import Range, SearchSpec
from nin_bench.search.samplers import distributions, make_sampler
from tests.search.search_grid_text import ONE

pytest.importorskip("psycopg", reason="needs PostgreSQL's driver: pip install 'nin-bench[postgresql]'")

ROOT = Path(__file__).parent.parent.parent
TRIALS = 40


def _server_program(name: str) -> str | None:
    """Debian keeps the server's programs out of the path, one folder a version."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(installed[-1]) if installed else shutil.which(name)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a database of its own; the server listens on a socket in its folder alone."""
    initdb, control = _server_program("initdb"), _server_program("pg_ctl")
    if initdb is None or control is None:
        if os.environ.get("CI") == "true":
            pytest.fail("in CI PostgreSQL must be there: apt-get install postgresql")
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    user = "postgres" if os.getuid() == 0 else None  # initdb refuses root

    def call(*arguments: str) -> None:
        done = subprocess.run(arguments, cwd=folder, user=user, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    # Not below pytest's folder, which no other user may enter, and whose path may be too long for a socket.
    with tempfile.TemporaryDirectory(prefix="nin_bench-") as folder:
        if user is not None:
            shutil.chown(folder, user)
        data = f"{folder}/data"
        call(initdb, "--pgdata", data, "--username", "searcher", "--auth", "trust", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
        call(control, "start", "--wait", "--pgdata", data, "--log", f"{folder}/log", "--options", options)
        try:
            yield f"postgresql://searcher@/postgres?host={folder}"
        finally:
            call(control, "stop", "--pgdata", data, "--mode", "immediate")


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
    lr = Range(name="lr", low=1e-2, high=1.0, log=True)
    spec = SearchSpec(space=(lr,), trials=TRIALS, sampler="random")
    study = optuna.create_study(sampler=make_sampler(spec, draw_of=lambda number: number))
    return [study.ask(distributions(spec)).params["lr"] for _ in range(TRIALS)]


def test_four_searches_of_one_study_lose_nothing_and_run_nothing_twice(
    server: str, tmp_path: Path, request: pytest.FixtureRequest
):
    grid = ONE.replace("epochs: 2", "epochs: 1").replace("trials: 3", f"trials: {TRIALS}\n  sampler: random")
    (tmp_path / "grid.yaml").write_text(grid)
    options = ("--device", "cpu", "--workers", "1", "--storage", server)
    searches = [start(tmp_path, f"results{number}", *options) for number in range(4)]
    told = [search.communicate() for search in searches]
    assert [search.returncode for search in searches] == [0] * 4, told
    storage = optuna.storages.RDBStorage(server)
    request.addfinalizer(storage.engine.dispose)
    (name,) = optuna.get_all_study_names(storage)
    study = optuna.load_study(study_name=name, storage=storage)
    done = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    assert len(done) == TRIALS
    assert {trial.state.name for trial in study.trials if trial not in done} <= {"FAIL"}
    assert all("surplus" in trial.user_attrs for trial in study.trials if trial not in done)
    # Each of the values that one search alone would have drawn was trained as often as it was drawn.
    assert Counter(trial.params["lr"] for trial in done) == Counter(drawn_alone())
    took_part = Counter(trial.user_attrs["searcher"] for trial in done)
    assert len(took_part) > 1
    # Each of them has all trials in its own folder, and chose the same.
    kept = [sorted((tmp_path / f"results{number}").rglob("studies/*.json")) for number in range(4)]
    assert len({path.read_text() for (path,) in kept}) == 1
    tuned = set()
    for number in range(4):
        text = (tmp_path / f"results{number}" / "tiny" / "full" / "tuned.yaml").read_text()
        grid_text, _digest = text.rsplit("# Written by ", 1)
        tuned.add(grid_text.replace(f"--grid results{number}/", "--grid results/"))  # how each is run
    assert len(tuned) == 1
