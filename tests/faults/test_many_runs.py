"""Several runs on one folder, and clocks that jump while they run."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nin_bench.doctor import examine
from nin_bench.results import Record, ResultsFolder, load_results
from nin_bench.results.records import Epoch, Metrics
from tests.faults.scale import WHOLE, scaled
from tests.faults.stubs import GRID
from tests.faults.warm import Warm
from tests.processes import linux

Count = Callable[[str, int], None]

ROOT = Path(__file__).parents[2]
SEEDS = scaled(1, 2)
RUN = ("run", "--grid", "grid.yaml", "--device", "cpu", "--workers", "1", *(() if WHOLE else ("--no-measure",)))


def start(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "nin_bench", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def alone(server: Warm, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a run that has the folder and an honest clock to itself makes of every cell."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "grid.yaml").write_text(GRID.format(seeds=SEEDS))
    assert server.run("scenarios:run_command", str(folder), RUN, log=folder / "log") == 0
    return table(folder)


def table(folder: Path) -> dict[str, Any]:
    """Every cell's metrics and history, but for what a clock or the machine's memory tells."""
    return {record.cell_id: repeating(record) for record in load_results(folder / "results/tiny/full").records}


def repeating(record: Record) -> Any:
    def known(values: Metrics | Epoch) -> dict[str, Any]:
        return {key: value for key, value in values if not re.search("second|bytes", key)}

    return known(record.metrics), [known(row) for row in record.history]


@pytest.mark.parametrize("count", scaled([2], [2, 4, 8]))
def test_of_several_runs_one_has_the_folder_and_the_others_say_whose_it_is(tmp_path, alone, faults: Count, count):
    (tmp_path / "grid.yaml").write_text(GRID.format(seeds=SEEDS))
    runs = [start(tmp_path, *RUN) for _ in range(count)]
    told = [(run.communicate(), run.returncode) for run in runs]
    assert {status for _, status in told} <= {0, 2}
    assert any(status == 0 for _, status in told)
    pids = {run.pid for run in runs}
    for (out, err), status in told:
        assert "Traceback" not in err
        if status == 2:
            assert out == ""
            refused = re.fullmatch(
                r"results/tiny/full: in use by process (\d+); wait until it ends, or choose another --results\n",
                err,
            )
            assert refused, err
            assert int(refused[1]) in pids
    assert table(tmp_path) == alone
    records = load_results(tmp_path / "results/tiny/full").records
    assert [len(record.attempts) for record in records] == [1] * len(alone)
    assert examine(tmp_path / "results/tiny/full") == []
    faults(f"runs on one folder: {count}", count)


@pytest.fixture(scope="module")
def jumping_clock(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A library that, preloaded, changes the clock for every process of a run, workers too."""
    library = tmp_path_factory.mktemp("clock") / "jumping_clock.so"
    source = Path(__file__).with_name("jumping_clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return str(library)


@linux
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler, to preload another clock")
@pytest.mark.parametrize("days", scaled(["0,1,-1"], ["0,1", "0,-1", "0,1,-1", "-1,0,0,0,1"]))
def test_clocks_that_jump_by_a_day_change_no_result(tmp_path, alone, jumping_clock, faults: Count, days):
    (tmp_path / "grid.yaml").write_text(GRID.format(seeds=SEEDS))
    clock = {"LD_PRELOAD": jumping_clock, "DAYS": days}
    with start(tmp_path, *RUN, "--timeout", "600", **clock) as process:
        _, err = process.communicate()
    assert process.returncode == 0, err
    assert table(tmp_path) == alone
    folder = ResultsFolder(tmp_path / "results/tiny/full")
    attempts = [record.attempts[0] for record in load_results(folder.path).records]
    days_seen = {getattr(attempt, when)[:10] for attempt in attempts for when in ("started_at", "finished_at")}
    assert len(days_seen) > 1
    for record in load_results(folder.path).records:
        assert record.metrics.train_seconds > 0
        assert all(row.seconds > 0 for row in record.history)
    # Nor does it matter when a file was written.
    for number, path in enumerate(sorted(folder.path.rglob("*"))):
        os.utime(path, (86400 * number, 10**10 if number % 2 else 0))
    with start(tmp_path, "plan", "--grid", "grid.yaml", "--json", **clock) as process:
        out, _ = process.communicate()
    assert [cell["state"] for cell in json.loads(out)["cells"]] == ["done"] * len(alone)
    assert examine(folder.path) == []
    faults("clocks that jump by a day", 1)
