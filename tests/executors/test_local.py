import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import executor_tasks as tasks
import pytest
from processes import is_running, linux, members_of, still_running_after

from nin_bench.executors import Ended, Event, LocalExecutor, Slot, Started, Task, Told
from nin_bench.runner.workplace import PRELOAD

ONE = [Slot("cpu")]
TWO = [Slot("cpu"), Slot("cpu")]


def executor(slots: list[Slot] = ONE, timeout_seconds: float | None = None) -> LocalExecutor:
    # One forkserver serves a whole test run, and its first user decides what it has imported.
    return LocalExecutor(slots, timeout_seconds, PRELOAD)


def each(*tasks: Task) -> Callable[[], Task | None]:
    """Answers with one task after the other, then with none."""
    left = list(tasks)
    return lambda: left.pop(0) if left else None


def run(function: object, *arguments: object) -> list[Event]:
    return list(executor().run(each(Task("task", function, arguments))))


def end_of(function: object, *arguments: object) -> Ended:
    end = run(function, *arguments)[-1]
    assert isinstance(end, Ended)
    return end


def test_a_task_returns_its_result():
    started, ended = run(tasks.answer, {"accuracy": 0.5})
    assert started == Started("task", ONE[0])
    assert isinstance(ended, Ended)
    assert (ended.key, ended.how, ended.result) == ("task", "returned", {"accuracy": 0.5})


def test_a_result_larger_than_the_pipe_arrives_whole():
    assert end_of(tasks.answer, b"x" * 10_000_000).result == b"x" * 10_000_000


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries cannot be told")
def test_a_worker_keeps_what_it_frees_for_its_next_allocation():
    # 64 MiB are 16,384 pages, each of which would be mapped anew, were they handed back.
    assert end_of(tasks.faults_of_a_second_allocation, 2**26).result < 100


def test_a_task_that_raises_has_died_with_its_traceback():
    ended = end_of(tasks.fail)
    assert (ended.how, ended.exit_code) == ("died", 1)
    assert "Traceback" in ended.output
    assert ended.output.splitlines()[-1] == "ValueError: no such luck"


def test_a_task_that_exits_keeps_its_last_words():
    ended = end_of(tasks.exit_with, 3)
    assert (ended.how, ended.exit_code, ended.output) == ("died", 3, "these were my last words")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_task_killed_by_a_signal_says_which(number):
    ended = end_of(tasks.die_by, number)
    assert (ended.how, ended.exit_code, ended.output) == ("died", -number, "written past Python")


def test_a_segmentation_fault_ends_its_own_task_alone():
    jobs = [Task("bad", tasks.crash_in_c), Task("good", tasks.answer, (1,))]
    ends = {event.key: event for event in executor(TWO).run(each(*jobs)) if isinstance(event, Ended)}
    assert (ends["bad"].how, ends["bad"].exit_code) == ("died", -signal.SIGSEGV)
    assert ends["good"].result == 1


def test_a_result_that_cannot_be_pickled_is_a_death():
    ended = end_of(tasks.return_unpicklable)
    assert ended.how == "died"
    assert "pickle" in ended.output.splitlines()[-1]


def test_an_import_that_fails_in_the_worker_is_told():
    ended = end_of(tasks.answer, tasks.LoadsOnlyInParent())
    assert (ended.how, ended.exit_code) == ("died", 1)
    assert ended.output.splitlines()[-1] == "ImportError: half an installation"


def test_news_sent_before_a_death_is_not_lost():
    events = run(tasks.tell_then_die, 5_000)
    assert [event.news for event in events if isinstance(event, Told)] == list(range(5_000))
    assert isinstance(events[-1], Ended)
    assert events[-1].exit_code == -signal.SIGKILL


def test_a_thread_that_never_ends_does_not_hold_the_slot():
    assert end_of(tasks.return_and_hang).result == "done"


def test_more_tasks_than_slots_each_in_a_process_of_its_own():
    jobs = [Task(f"task {number}", tasks.where) for number in range(5)]
    events = list(executor(TWO).run(each(*jobs)))
    pids = {event.result["pid"] for event in events if isinstance(event, Ended)}
    assert len(pids) == 5
    assert os.getpid() not in pids
    running, most = 0, 0
    for event in events:
        running += isinstance(event, Started) - isinstance(event, Ended)
        most = max(most, running)
    assert most == 2


def test_no_task_is_no_event():
    assert list(executor().run(each())) == []


def test_tasks_are_taken_one_by_one_as_slots_become_free():
    taken = []

    def next_task() -> Task | None:
        taken.append(len(taken))
        return Task(str(taken[-1]), tasks.answer) if len(taken) <= 3 else None

    for event in executor().run(next_task):
        if isinstance(event, Ended):
            assert taken == list(range(int(event.key) + 1))


@pytest.mark.parametrize("slots", [ONE, TWO])
def test_a_task_queued_after_all_were_taken_is_run(slots):
    queue = [Task("first", tasks.fail)]
    ended = []
    for event in executor(slots).run(lambda: queue.pop() if queue else None):
        if isinstance(event, Ended):
            ended.append(event.key)
            if event.key == "first":
                queue.append(Task("again", tasks.answer, (1,)))
    assert ended == ["first", "again"]


@linux
def test_a_worker_is_pinned_to_its_core():
    core = max(os.sched_getaffinity(0))
    events = executor([Slot("cpu", core)]).run(each(Task("task", tasks.where)))
    assert [event.result["cores"] for event in events if isinstance(event, Ended)] == [{core}]


def test_a_task_past_its_time_is_killed_and_the_next_one_runs():
    jobs = [Task("slow", tasks.ignore_everything), Task("next", tasks.answer, (1,))]
    events = list(executor(timeout_seconds=2.0).run(each(*jobs)))
    pid = next(event.news for event in events if isinstance(event, Told))
    ends = [event for event in events if isinstance(event, Ended)]
    assert [(end.key, end.how) for end in ends] == [("slow", "timed_out"), ("next", "returned")]
    assert not is_running(pid)


def test_stop_asks_and_starts_nothing_more():
    local = executor(TWO)
    jobs = [Task("a", tasks.until_stopped), Task("b", tasks.until_stopped), Task("c", tasks.answer, (1,))]
    ends = []
    for event in local.run(each(*jobs)):
        if isinstance(event, Told) and event.key == "a":
            local.stop()
        if isinstance(event, Ended):
            ends.append((event.key, event.how, event.result))
    assert sorted(ends) == [("a", "returned", "stopped in order"), ("b", "returned", "stopped in order")]


def test_a_task_that_asks_waits_for_its_answer():
    local = executor(TWO)
    results = {}
    for event in local.run(each(Task("a", tasks.ask_until_no), Task("b", tasks.ask_until_no))):
        if isinstance(event, Told):
            local.answer(event.key, event.key if event.news < 2 else None)
        if isinstance(event, Ended):
            results[event.key] = event.result
    assert results == {"a": ["a", "a", None, False], "b": ["b", "b", None, False]}


def test_a_task_that_waits_for_an_answer_can_be_stopped():
    local = executor()
    for event in local.run(each(Task("a", tasks.ask_until_no))):
        if isinstance(event, Told):
            local.stop()
    assert isinstance(event, Ended)
    assert (event.how, event.result) == ("returned", [None, True])


def test_an_answer_to_a_task_that_is_gone_is_dropped():
    local = executor()
    for event in local.run(each(Task("a", tasks.tell_then_die, (3,)))):
        if isinstance(event, Told):
            local.answer("a", "too late")
            local.answer("b", "to nobody")
    assert isinstance(event, Ended)
    assert event.how == "died"


def test_a_second_stop_kills():
    local = executor(TWO)
    jobs = [Task("deaf", tasks.ignore_everything), Task("also", tasks.ignore_everything)]
    ends = []
    for event in local.run(each(*jobs)):
        if isinstance(event, Told):
            local.stop()
        if isinstance(event, Ended):
            ends.append((event.key, event.how, event.exit_code))
    assert sorted(ends) == [("also", "killed", -signal.SIGKILL), ("deaf", "killed", -signal.SIGKILL)]


def test_a_worker_that_ignores_the_stop_is_killed_when_its_time_is_over(monkeypatch):
    monkeypatch.setattr("nin_bench.executors.local.STOP_SECONDS", 0.0)
    local = executor()
    ends = []
    for event in local.run(each(Task("deaf", tasks.ignore_everything))):
        if isinstance(event, Told):
            local.stop()
        if isinstance(event, Ended):
            ends.append((event.how, event.exit_code))
    assert ends == [("killed", -signal.SIGKILL)]


def test_a_talkative_worker_drowns_neither_the_others_nor_the_stop():
    local = executor(TWO)
    ends = []
    for event in local.run(each(Task("loud", tasks.tell_until_stopped), Task("quiet", tasks.answer, (1,)))):
        if isinstance(event, Ended):
            ends.append((event.key, event.how))
            local.stop()
    assert ends == [("quiet", "returned"), ("loud", "returned")]


def test_closing_the_run_early_leaves_no_process():
    with closing(executor(TWO).run(each(*(Task(str(n), tasks.ignore_everything) for n in range(2))))) as events:
        pids = [event.news for _, event in zip(range(4), events, strict=False) if isinstance(event, Told)]
    assert len(pids) == 2
    assert not any(is_running(pid) for pid in pids)


RUN_TWO_FOREVER = """
import executor_tasks as tasks
from nin_bench.executors import LocalExecutor, Slot, Task, Told

jobs = [Task(str(number), tasks.ignore_everything) for number in range(2)]
for event in LocalExecutor([Slot("cpu"), Slot("cpu")]).run(lambda: jobs.pop() if jobs else None):
    if isinstance(event, Told):
        print(event.news, flush=True)
"""


def own_group(code: str) -> subprocess.Popen[str]:
    """Start Python in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)])},
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
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_group_reaches_neither_workers_nor_forkserver(two_forever, number):
    parent, _ = two_forever
    for pid in members_of(parent.pid) - {parent.pid}:
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        masks = dict(line.split(":\t") for line in status if line.startswith("Sig") and "\t" in line)
        deaf_to = int(masks["SigBlk"], 16) | int(masks["SigIgn"], 16)
        assert deaf_to >> (number - 1) & 1


RUN_COLD = """
import signal
import executor_tasks as tasks
from nin_bench.executors import LocalExecutor, Slot, Task

jobs = [Task("never", tasks.ignore_everything)]
executor = LocalExecutor([Slot("cpu")], preload=["endless_import"])
signal.signal(signal.SIGINT, lambda *_: executor.stop())
for event in executor.run(lambda: jobs.pop() if jobs else None):
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
def test_a_signal_is_heard_while_the_forkserver_imports(cold):
    group = members_of(cold.pid)
    os.killpg(cold.pid, signal.SIGINT)
    assert cold.stdout is not None
    assert cold.stdout.readline() == "stopped\n"
    assert cold.wait(30.0) == 0
    assert still_running_after(30.0, group) == set()


@linux
def test_a_forkserver_does_not_outlive_its_parent_while_it_imports(cold):
    group = members_of(cold.pid)
    assert len(group) > 1
    cold.kill()
    assert still_running_after(30.0, group) == set()
