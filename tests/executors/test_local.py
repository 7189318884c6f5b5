import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nin_bench.executors import Ended, LocalExecutor, Slot, Task
from nin_bench.runner.session import PRELOAD
from nin_bench.signals import STOP_SIGNALS
from tests import executor_tasks as tasks
from tests.processes import linux, members_of, still_running_after


def run(task: Task, core: int | None = None) -> Ended:
    # One forkserver serves a whole test run, and its first user decides what it has imported.
    jobs = [task]
    *_, end = LocalExecutor([Slot("cpu", core)], PRELOAD).run(lambda slot: jobs.pop() if jobs else None)
    assert isinstance(end, Ended)
    return end


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries cannot be told")
def test_a_worker_keeps_what_it_frees_for_its_next_allocation():
    # 64 MiB are 16,384 pages, each of which would be mapped anew, were they handed back.
    assert run(Task("task", tasks.faults_of_a_second_allocation, (2**26,))).result < 100


@linux
def test_a_worker_is_pinned_to_its_core():
    core = max(os.sched_getaffinity(0))
    assert run(Task("task", tasks.where), core).result["cores"] == {core}


@linux
def test_a_task_of_several_slots_has_the_cores_of_all():
    cores = sorted(os.sched_getaffinity(0))
    jobs = [Task("task", tasks.where, num_slots=len(cores))]
    slots = [Slot("cpu", core) for core in cores]
    *_, end = LocalExecutor(slots, PRELOAD).run(lambda slot: jobs.pop() if jobs else None)
    assert end.result["cores"] == set(cores)


RUN_ONE = """
from tests import executor_tasks as tasks
from nin_bench.executors import LocalExecutor, Slot, Task

jobs = [Task("task", tasks.answer, (7,))]
*_, end = LocalExecutor([Slot("cpu")]).run(lambda slot: jobs.pop() if jobs else None)
print(end.result)
"""


@linux
def test_a_temporary_folder_with_a_long_name_is_no_hindrance(tmp_path):
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    path = os.pathsep.join([*sys.path, str(Path(__file__).parents[2])])
    environment = {**os.environ, "PYTHONPATH": path, "TMPDIR": str(folder)}
    command = [sys.executable, "-c", RUN_ONE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("7\n", "")
    assert list(folder.iterdir()) == []


RUN_TWO_FOREVER = """
from tests import executor_tasks as tasks
from nin_bench.executors import LocalExecutor, Slot, Task, Message

jobs = [Task(str(number), tasks.ignore_everything) for number in range(2)]
for event in LocalExecutor([Slot("cpu"), Slot("cpu")]).run(lambda slot: jobs.pop() if jobs else None):
    if isinstance(event, Message):
        print(event.content, flush=True)
"""


def own_group(code: str) -> subprocess.Popen[str]:
    """Start Python in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parents[2])])},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def two_forever() -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A process of its own group that runs two workers for ever, and their ids."""
    with own_group(RUN_TWO_FOREVER) as parent:
        assert parent.stdout is not None
        yield parent, [int(parent.stdout.readline()) for _ in range(2)]
        parent.kill()


@linux
def test_workers_do_not_outlive_a_parent_that_is_killed(two_forever):
    parent, workers = two_forever
    group = members_of(parent.pid)
    assert {parent.pid, *workers} < group
    parent.kill()
    assert still_running_after(30.0, group) == set()


@linux
@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_to_the_group_reaches_neither_workers_nor_forkserver(two_forever, number):
    parent, _ = two_forever
    for pid in members_of(parent.pid) - {parent.pid}:
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        masks = dict(line.split(":\t") for line in status if line.startswith("Sig") and "\t" in line)
        deaf_to = int(masks["SigBlk"], 16) | int(masks["SigIgn"], 16)
        assert deaf_to >> (number - 1) & 1


RUN_COLD = """
import signal
from tests import executor_tasks as tasks
from nin_bench.executors import LocalExecutor, Slot, Task

jobs = [Task("never", tasks.ignore_everything)]
executor = LocalExecutor([Slot("cpu")], preload=["tests.executors.endless_import"])
signal.signal(signal.SIGINT, lambda *_: executor.stop())
for event in executor.run(lambda slot: jobs.pop() if jobs else None):
    print(event, flush=True)
print("stopped", flush=True)
"""


@pytest.fixture
def cold() -> Iterator[subprocess.Popen[str]]:
    """A process of its own group whose forkserver is importing, and will not come to an end."""
    with own_group(RUN_COLD) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "importing\n"
        yield parent
        parent.kill()


@linux
def test_a_signal_is_noticed_while_the_forkserver_imports(cold):
    group = members_of(cold.pid)
    os.killpg(cold.pid, signal.SIGINT)
    assert cold.stdout is not None
    assert cold.stdout.readline() == "stopped\n"
    assert cold.wait(300.0) == 0
    assert still_running_after(30.0, group) == set()


@linux
def test_a_forkserver_does_not_outlive_its_parent_while_it_imports(cold):
    group = members_of(cold.pid)
    assert len(group) > 1
    cold.kill()
    assert still_running_after(30.0, group) == set()
