"""Every system call of a small run fails once: its end is as documented, and the next run comes to the same."""

import errno
import itertools
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from nin_bench.results import load_results
from tests.faults.places import ONE_NETWORK, STUBS, Place
from tests.faults.scale import scaled
from tests.faults.warm import Warm, warm
from tests.processes import linux

pytestmark = [
    linux,
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler, to preload calls that fail"),
]

ERRORS = [errno.EIO, errno.ENOSPC, errno.EACCES, errno.EINTR]
FAMILIES = ["open", "write", "fsync", "rename", "unlink", "flock", "mkdir"]
GRID = STUBS.replace("[8, 16, 32]", "[8, 16]")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    library = tmp_path_factory.mktemp("calls") / "failing_calls.so"
    source = Path(__file__).with_name("failing_calls.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    with warm(str(library)) as started:
        yield started


def calls_of(place: Place) -> int:
    return int((place.path / "calls").read_text())


def check_end(status: int, printed: str, code: int) -> None:
    """0 where what failed is tried again or not needed, 1 where a cell failed; else one line that says why."""
    assert status in (0, 1, 2), printed
    assert "Traceback" not in printed, printed
    if status == 2:
        told = printed.splitlines()[-1]
        # PyTorch looks at a class's source when it saves, and says no more if it cannot.
        assert os.strerror(code) in told or "could not get source code" in told, printed
        assert "; " in told, printed


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_whose_system_calls_fail(server, tmp_path, faults, family):
    scenario = "scenarios:run_command_inline"
    whole = Place(tmp_path / "whole", GRID)
    assert server.run(scenario, str(whole), family, 0, 0, log=whole.log) == 0, whole.printed()
    expected, total = whole.table(), calls_of(whole)
    assert total > 0
    chosen = range(1, total + 1, scaled(max(1, total // 2), 1))
    for code in scaled(ERRORS[1:2], ERRORS):
        for at in chosen:
            place = Place(tmp_path / f"{code}-{at}", GRID)
            status = server.run(scenario, str(place), family, at, code, log=place.log)
            check_end(status, place.printed(), code)
            if list(place.path.rglob("grid.json")):
                place.check()
            assert server.run(scenario, str(place), family, 0, 0, log=place.log) == 0, place.printed()
            assert place.table() == expected
            assert place.temporary_files() == set()
            shutil.rmtree(place.path)
        faults(f"{family} fails with {errno.errorcode[code]}, in a run", len(chosen))


@pytest.mark.parametrize("in_forkserver", [False, True])
@pytest.mark.parametrize("family", ["fork", "pipe"])
def test_a_run_that_cannot_start_processes(server, tmp_path, faults, family, in_forkserver):
    scenario = "scenarios:run_command_with_workers"
    whole = Place(tmp_path / "whole", GRID)
    assert server.run(scenario, str(whole), family, 0, 0, False, log=whole.log) == 0, whole.printed()
    expected, total = whole.table(), max(3, calls_of(whole))
    code, injected = errno.EAGAIN if family == "fork" else errno.EMFILE, 0
    for at in range(1, total + 1, scaled(max(1, total // 2), 1)):
        place = Place(tmp_path / str(at), GRID)
        process = server.start(scenario, str(place), family, at, code, in_forkserver, log=place.log)
        status, printed = process.wait(600.0), place.printed()
        assert status is not None, printed
        assert process.survivors() == set()
        # The process that starts others tells of its own death; the run's own line is the last one.
        assert status in (0, 1, 2), printed
        if status == 2:
            reason = "the process that starts others has died" if in_forkserver else os.strerror(code)
            assert re.fullmatch(f"no .* can be (started|made): {reason}; .*", printed.splitlines()[-1]), printed
        assert server.run(scenario, str(place), family, 0, 0, False, log=place.log) == 0, place.printed()
        assert place.table() == expected
        injected += 1
    where = "what a run starts" if in_forkserver else "a run"
    faults(f"{family} fails with {errno.errorcode[code]}, in {where}", injected)


def kernels_of(place: Place) -> str:
    """The instructions for which PyTorch chose the kernels of the one cell, as its record says."""
    [record] = load_results(place.results().path).records
    return str(record.environment["torch"]["cpu_capability"])


def died_of_cpuinfo(place: Place) -> bool:
    """Whether what failed is what PyTorch's cpuinfo cannot do without.

    It reads these files twice; if that fails, `cpuinfo_compute_max_cache_size` follows a null pointer.
    """
    told = (place.path / "failed").read_text()
    return bool(re.search("^/sys/devices/system/cpu/(possible|present)$", told, re.MULTILINE))


@pytest.mark.parametrize("family", ["open", "write", "fsync", "rename", "unlink"])
def test_a_cell_whose_system_calls_fail(server, tmp_path, faults, family):
    scenario = "scenarios:train_with_failing_calls"
    whole = Place(tmp_path / "whole", ONE_NETWORK)
    assert server.run(scenario, str(whole), family, 0, 0, log=whole.log) == 0, whole.printed()
    total = calls_of(whole)
    chosen = range(1, total + 1, scaled(max(1, total // 2), 1))
    for code in scaled(ERRORS[:1], ERRORS):
        for at in chosen:
            place = Place(tmp_path / f"{code}-{at}", ONE_NETWORK)
            status = server.run(scenario, str(place), family, at, code, log=place.log)
            printed = place.printed()
            if status != -signal.SIGSEGV or not died_of_cpuinfo(place):
                check_end(status, printed, code)
            assert server.run(scenario, str(place), family, 0, 0, log=place.log) == 0, place.printed()
            shutil.rmtree(place.path)
        faults(f"{family} fails with {errno.errorcode[code]}, in a cell", len(chosen))


@pytest.mark.parametrize(
    "family", scaled(["open", "rename"], ["open", "write", "fsync", "rename", "unlink", "mkdir"])
)
def test_workers_whose_system_calls_fail(server, tmp_path, faults, family):
    """Each of their calls fails, from their start to their end, with one error after the other."""
    scenario = "scenarios:run_networks_in_failing_workers"
    whole = Place(tmp_path / "whole", ONE_NETWORK)
    assert server.run(scenario, str(whole), family, 0, 0, log=whole.log) == 0, whole.printed()
    expected, injected = whole.table(), 0
    for at in scaled([2], itertools.count(1)):
        place = Place(tmp_path / str(at), ONE_NETWORK)
        code = ERRORS[at % len(ERRORS)]
        status = server.run(scenario, str(place), family, at, code, log=place.log)
        if not (place.path / "failed").exists():
            break
        printed = place.printed()
        check_end(status, printed, code)
        assert "SIGSEGV" not in printed or died_of_cpuinfo(place), printed
        place.check()
        assert server.run(scenario, str(place), family, 0, 0, log=place.log) == 0, place.printed()
        # Without /proc/cpuinfo PyTorch takes plain kernels, whose last bits are others; the record says so.
        assert place.table() == expected or kernels_of(place) == "DEFAULT" != kernels_of(whole)
        assert place.temporary_files() == set()
        injected += 1
        shutil.rmtree(place.path)
    assert injected >= scaled(0, 4)
    faults(f"{family} fails, in a worker", injected)
