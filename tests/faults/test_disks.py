"""Disks that fail, and processes killed while they write: files are old or new, and a later run goes on."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from nin_bench.catalog import RegistryCatalog
from nin_bench.checkpoint import Checkpoints
from nin_bench.grid import Grid
from nin_bench.runner.record import make_record
from tests.cells import repeated
from tests.faults.broken_disk import ERRORS
from tests.faults.places import ONE_NETWORK, STUBS, Place
from tests.faults.scale import WHOLE, scaled
from tests.faults.scenarios import results_in
from tests.faults.warm import Warm
from tests.processes import linux

pytestmark = linux

TWO_STUBS = STUBS.replace("seeds: 2", "seeds: 1").replace("[8, 16, 32]", "[8, 16]")
HOWS = ["kill", *ERRORS]
KILLED = -9


def moments(total: int, quick: int) -> range:
    """Operations to fail at: every one, or some of them spread over all."""
    assert total > quick
    return range(1, total + 1, scaled(total // quick, 1))


def num_operations(place: Place) -> int:
    return int((place.path / "operations").read_text())


# Records, and all else that a run writes


@pytest.mark.parametrize("how", HOWS)
def test_whatever_a_run_writes_may_fail(server, tmp_path, faults, how):
    whole = Place(tmp_path / "whole", TWO_STUBS)
    status = server.run("scenarios:run_stubs_on_broken_disk", str(whole), 0, how, log=whole.log)
    assert status == 0, whole.printed()
    expected = whole.table()
    chosen = moments(num_operations(whole), quick=2)
    for at in chosen:
        place = Place(tmp_path / str(at), TWO_STUBS)
        process = server.start("scenarios:run_stubs_on_broken_disk", str(place), at, how, log=place.log)
        status, printed = process.wait(), place.printed()
        assert process.survivors() == set()
        if how == "kill":
            assert status == KILLED
        elif status != 0:  # what refuses to be removed at the very end is no loss
            assert status == 2, printed
            (told,) = printed.splitlines()
            assert f": {os.strerror(ERRORS[how])}; " in told
            assert str(place) in told
        if list(place.path.rglob("grid.json")):
            place.check()
        assert server.run("scenarios:run_stubs", str(place), log=place.log) == 0, place.printed()
        assert place.table() == expected
        assert place.temporary_files() == set()
    faults(f"{how} at an operation of a run", len(chosen))


# Checkpoints


@pytest.mark.parametrize("how", HOWS)
def test_a_checkpoint_is_old_or_new(server, tmp_path, faults, how):
    place = Place(tmp_path / "place", ONE_NETWORK)
    cell = Grid.load(place.path / "grid.yaml", RegistryCatalog(place.path)).cells[0]
    checkpoints = Checkpoints(place.path / "checkpoints", cell)

    def prepare() -> None:
        shutil.rmtree(checkpoints.folder, ignore_errors=True)
        for step in range(2):
            record = make_record(cell, "interrupted", started_at="", metrics={"num_steps": step})
            checkpoints.save(record, {"step": step, "weights": torch.full((10_000,), float(step))})

    prepare()
    assert server.run("scenarios:save_checkpoint_on_broken_disk", str(place), 0, how, log=place.log) == 0
    total = num_operations(place)
    seen = set()
    for at in range(1, total + 1):
        prepare()
        process = server.start("scenarios:save_checkpoint_on_broken_disk", str(place), at, how, log=place.log)
        status, printed = process.wait(), place.printed()
        if how == "kill":
            assert status == KILLED
        elif status != 0:
            assert f": {os.strerror(ERRORS[how])}; " in printed.splitlines()[-1]
        found = []
        assert checkpoints.restore(found.append) == []
        ((step, weights),) = [(state["step"], state["weights"]) for state in found]
        assert torch.equal(weights, torch.full((10_000,), float(step)))
        seen.add(step)
        checkpoints.save(make_record(cell, "interrupted", started_at="", metrics={"num_steps": 3}), {"step": 3})
        assert checkpoints.paths()[0].name.split(".")[1] == "3"
    assert seen == {1, 2}
    faults(f"{how} at an operation of a checkpoint", total)


@pytest.mark.parametrize("how", HOWS)
def test_a_cell_goes_on_from_what_it_wrote_before(server, tmp_path, faults, how):
    whole = Place(tmp_path / "whole", ONE_NETWORK)
    assert server.run("scenarios:train_on_broken_disk", str(whole), 0, how, log=whole.log) == 0, whole.printed()
    (expected,) = records_of(whole)
    chosen = moments(num_operations(whole), quick=3)
    for at in chosen:
        place = Place(tmp_path / str(at), ONE_NETWORK)
        status = server.run("scenarios:train_on_broken_disk", str(place), at, how, log=place.log)
        printed = place.printed()
        if how == "kill":
            assert status == KILLED
        else:
            assert status == 1
            assert printed.splitlines()[-1].startswith("nin_bench.errors.ResultsError: ")
            assert f": {os.strerror(ERRORS[how])}; " in printed.splitlines()[-1]
        assert records_of(place) == []
        assert server.run("scenarios:train_on_broken_disk", str(place), 0, how, log=place.log) == 0, (
            place.printed()
        )
        assert records_of(place) == [expected]
    faults(f"{how} at an operation of a cell", len(chosen))


def records_of(place: Place) -> list[Any]:
    paths = results_in(str(place)).path.glob("cells/*.json")
    records = [results_in(str(place)).read_record(path.stem) for path in paths]
    return [
        (record.outcome, repeated(record.metrics), [repeated(row) for row in record.history])
        for record in records
        if record
    ]


@pytest.mark.skipif(not WHOLE, reason="make test-faults alone: three whole runs each")
@pytest.mark.parametrize("how", HOWS)
def test_a_worker_whose_disk_fails_ends_the_run_and_the_next_one_goes_on(server, tmp_path, faults, how):
    whole = Place(tmp_path / "whole", ONE_NETWORK)
    assert server.run("scenarios:run_command_within", str(whole), 0, log=whole.log) == 0, whole.printed()
    chosen = [1, 20, 40]
    for at in chosen:
        place = Place(tmp_path / str(at), ONE_NETWORK)
        process = server.start("scenarios:run_networks_on_broken_disk", str(place), at, how, log=place.log)
        status, printed = process.wait(), place.printed()
        assert process.survivors() == set()
        assert "Traceback" not in printed
        if how == "kill":
            assert status == 1  # that cell crashed, as its record says
            assert "its process was killed by SIGKILL" in printed
        else:
            assert status == 2
            assert re.search(
                rf"\.ckpt: \d+ bytes could not be written: {os.strerror(ERRORS[how])}; make space", printed
            )
        again = server.run("scenarios:run_command_within", str(place), 0, log=place.log)
        printed = place.printed()
        assert again == 0, printed
        assert ("goes on after epoch" in printed) == (at > 1)
        assert place.table() == whole.table()
        assert place.temporary_files() == set()
    faults(f"{how} at an operation of a run's worker", len(chosen))


# Reports


@pytest.fixture(scope="module")
def reported(server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, dict[str, bytes], dict[str, bytes]]:
    """A place with a report of fewer records than there are; that report's files, and those of the one to come."""
    place = Place(tmp_path_factory.mktemp("reported"), TWO_STUBS)
    assert server.run("scenarios:run_stubs", str(place), log=place.log) == 0, place.printed()
    folder = results_in(str(place))
    (one, _) = (folder.path / "cells").glob("*.json")
    content = one.read_bytes()
    one.unlink()
    before = files_of(server, place)
    one.write_bytes(content)
    after = files_of(server, place)
    assert {"report.md", "report.html", "report.json"} <= before.keys() & after.keys()
    assert before["report.md"] != after["report.md"]
    return place, before, after


def files_of(server: Warm, place: Place) -> dict[str, bytes]:
    assert server.run("scenarios:report_on_broken_disk", str(place), 0, "kill", log=place.log) == 0
    return {name: (place.path / "report" / name).read_bytes() for name in names_of(place)}


def names_of(place: Place) -> set[str]:
    report = place.path / "report"
    return {path.relative_to(report).as_posix() for path in report.rglob("[!.]*") if path.is_file()}


@pytest.mark.parametrize("how", HOWS)
def test_a_report_s_files_are_old_or_new(server, reported, faults, how):
    place, before, after = reported
    chosen = moments(num_operations(place), quick=2)
    for at in chosen:
        shutil.rmtree(place.path / "report")
        for name, content in before.items():
            (place.path / "report" / name).parent.mkdir(parents=True, exist_ok=True)
            (place.path / "report" / name).write_bytes(content)
        status = server.run("scenarios:report_on_broken_disk", str(place), at, how, log=place.log)
        assert status == (KILLED if how == "kill" else 1) or (status == 0 and how != "kill")
        found = names_of(place)
        assert before.keys() & after.keys() <= found <= before.keys() | after.keys()
        for name in found:
            assert (place.path / "report" / name).read_bytes() in (before.get(name), after.get(name)), name
        assert files_of(server, place) == after
    faults(f"{how} at an operation of a report", len(chosen))


# Real refusals


def test_a_file_that_may_not_grow_ends_the_run_and_with_space_the_same_command_goes_on(server, tmp_path, faults):
    """A limit on a file's size is what every process can set itself; the checkpoint, of 120 kB, meets it first."""
    place = Place(tmp_path, ONE_NETWORK)
    process = server.start("scenarios:run_command_within", str(place), 60_000, log=place.log)
    status, told = process.wait(), place.printed().splitlines()
    assert status == 2
    name, _, rest = told[-1].partition(": ")
    assert name.endswith(".pt")
    num_bytes, _, reason = rest.partition(" ")
    assert int(num_bytes) > 60_000
    assert reason.startswith("bytes could not be written: File too large; make space")
    assert process.survivors() == set()
    assert server.run("scenarios:run_command_within", str(place), 0, log=place.log) == 0, place.printed()
    assert list(place.path.rglob("weights/*.pt"))
    assert list(place.path.rglob("checkpoints/*.ckpt")) == []
    faults("a file that may not grow", 1)


SMALL_DISK = """
cd "$1"
mount -t tmpfs -o size=400k tmpfs results
run() { "$1" -m nin_bench run --grid grid.yaml --device cpu --workers 1 --no-measure --keep-weights; }
run "$2" >/dev/null 2>first; echo $?
mount -o remount,size=30m results
run "$2" >/dev/null 2>second; echo $?
"$2" -m nin_bench status results/one/full --json
"""


def in_a_mount_namespace(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command that may mount disks, which nobody else sees."""
    words = ["unshare", "--user", "--map-root-user", "--mount", *command]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


def can_mount() -> bool:
    has_it = shutil.which("unshare") is not None
    return has_it and in_a_mount_namespace("mount", "-t", "tmpfs", "tmpfs", "/mnt").returncode == 0


@pytest.mark.skipif(not WHOLE, reason="make test-faults alone: two whole runs")
@pytest.mark.skipif(not can_mount(), reason="a user may mount no small disk here")
def test_a_small_disk_that_is_full_ends_the_run_and_with_space_the_same_command_goes_on(tmp_path, faults):
    place = Place(tmp_path, ONE_NETWORK.replace("hidden: 256", "hidden: 2000"))  # weights of 600 kB
    (place.path / "results").mkdir()
    done = in_a_mount_namespace("sh", "-c", SMALL_DISK, "sh", str(place), sys.executable)
    first, second = ((place.path / name).read_text() for name in ("first", "second"))
    refused, finished, *status = done.stdout.splitlines()
    told = first.splitlines()[-1]
    assert refused == "2", first
    assert re.match(r"results/one/full/weights/\w+\.pt: 6\d{5} bytes could not be written: No space left", told)
    assert finished == "0", second
    assert json.loads("".join(status))["outcomes"] == {"trained": 1}
    faults("a full disk", 1)
