"""What every executor promises. A new one is added to EXECUTORS, and all of this is run with it."""

import importlib
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count
from typing import Any

import pytest

from nin_bench.errors import InputError, MachineError
from nin_bench.executors import (
    Ended,
    Event,
    Executor,
    LocalExecutor,
    Message,
    Slot,
    SomeSlots,
    Started,
    Task,
    stopping,
)
from nin_bench.runner.session import PRELOAD, ProcessOptions, opened_executor
from tests import executor_tasks as tasks
from tests.processes import is_running

ONE = [Slot("cpu")]
TWO = [Slot("cpu"), Slot("cpu")]

EXECUTORS = ("local", pytest.param("ray", marks=pytest.mark.extra))


@contextmanager
def cpu_slots(num_cpus: int) -> Iterator[list[Slot]]:
    """A node's slots: one for each CPU."""
    yield [Slot("cpu") for _ in range(num_cpus)]


@pytest.fixture(scope="module")
def ray() -> Any:
    """The module of the Ray executor."""
    return importlib.import_module("nin_bench.executors.ray")


@pytest.fixture(scope="module")
def nodes(ray: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Ray cluster with a node of two CPUs, and one of one."""
    with importlib.import_module("tests.ray_nodes").ray_nodes(tmp_path_factory.mktemp("nodes"), [2, 1]) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def cluster(ray: Any, nodes: Any) -> Iterator[Any]:
    """Its nodes, as executors use them."""
    with ray.ray_cluster(nodes.address, cpu_slots, (), {}) as cluster:
        yield cluster


@pytest.fixture(params=EXECUTORS)
def make(request: pytest.FixtureRequest) -> Callable[[Sequence[Slot]], Executor]:
    """Makes an executor with as many slots."""
    if request.param == "local":
        # One forkserver serves a whole test run, and its first user decides what it has imported.
        return lambda slots: LocalExecutor(slots, PRELOAD)
    ray, cluster = request.getfixturevalue("ray"), request.getfixturevalue("cluster")

    def make(slots: Sequence[Slot]) -> Executor:
        executor = ray.RayExecutor(cluster)
        on = Counter(slot.node for slot in executor.slots)
        used = [slot for slot in executor.slots if on[slot.node] == 2][: len(slots)]
        return SomeSlots(executor, lambda slot: any(slot is one for one in used))

    return make


@pytest.fixture
def run(make: Callable[[Sequence[Slot]], Executor]) -> Callable[..., list[Event]]:
    """Runs tasks in slots and returns the events."""

    def run(*jobs: Task, slots: Sequence[Slot] = ONE) -> list[Event]:
        return list(make(slots).run(each(*jobs)))

    return run


@pytest.fixture
def end_of(run: Callable[..., list[Event]]) -> Callable[..., Ended]:
    """Runs one function and returns how it ended."""

    def end_of(function: object, *arguments: object) -> Ended:
        end = run(Task("task", function, arguments))[-1]
        assert isinstance(end, Ended)
        return end

    return end_of


def each(*tasks: Task) -> Callable[[Slot], Task | None]:
    """Answers with one task after the other, then with none."""
    left = list(tasks)
    return lambda slot: left.pop(0) if left else None


def ends_in(events: Sequence[Event]) -> dict[str, Ended]:
    return {event.key: event for event in events if isinstance(event, Ended)}


def test_a_task_returns_its_result(run):
    started, ended = run(Task("task", tasks.answer, ({"accuracy": 0.5},)))
    assert isinstance(started, Started)
    assert (started.key, started.slot.device) == ("task", "cpu")
    assert isinstance(ended, Ended)
    assert (ended.key, ended.how, ended.result) == ("task", "returned", {"accuracy": 0.5})


def test_a_result_larger_than_the_pipe_arrives_whole(end_of):
    assert end_of(tasks.answer, b"x" * 10_000_000).result == b"x" * 10_000_000


def test_a_task_that_raises_has_died_with_its_traceback(end_of):
    ended = end_of(tasks.fail)
    assert (ended.how, ended.exit_code) == ("died", 1)
    assert "Traceback" in ended.output
    assert ended.output.splitlines()[-1] == "ValueError: no such luck"


def test_a_task_that_exits_keeps_its_last_words(end_of):
    ended = end_of(tasks.exit_with, 3)
    assert (ended.how, ended.exit_code, ended.output) == ("died", 3, "these were my last words")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_task_killed_by_a_signal_says_which(end_of, number):
    ended = end_of(tasks.die_by, number)
    assert (ended.how, ended.exit_code, ended.output) == ("died", -number, "written past Python")


def test_a_segmentation_fault_ends_its_own_task_alone(run):
    jobs = [Task("bad", tasks.crash_in_c), Task("good", tasks.answer, (1,))]
    ends = ends_in(run(*jobs, slots=TWO))
    assert (ends["bad"].how, ends["bad"].exit_code) == ("died", -signal.SIGSEGV)
    assert ends["good"].result == 1


def test_a_result_that_cannot_be_pickled_is_a_death(end_of):
    ended = end_of(tasks.return_unpicklable)
    assert ended.how == "died"
    assert "pickle" in ended.output.splitlines()[-1]


def test_an_import_that_fails_in_the_worker_is_reported(end_of):
    ended = end_of(tasks.answer, tasks.LoadsOnlyInParent())
    assert (ended.how, ended.exit_code) == ("died", 1)
    assert ended.output.splitlines()[-1] == "ImportError: half an installation"


def test_messages_sent_before_a_death_are_not_lost(run):
    events = run(Task("task", tasks.send_then_die, (5_000,)))
    assert [event.content for event in events if isinstance(event, Message)] == list(range(5_000))
    assert isinstance(events[-1], Ended)
    assert events[-1].exit_code == -signal.SIGKILL


def test_a_thread_that_never_ends_does_not_hold_the_slot(end_of):
    assert end_of(tasks.return_and_hang).result == "done"


def test_more_tasks_than_slots_each_in_a_process_of_its_own(run):
    jobs = [Task(f"task {number}", tasks.where) for number in range(5)]
    events = run(*jobs, slots=TWO)
    pids = {event.result["pid"] for event in events if isinstance(event, Ended)}
    assert len(pids) == 5
    assert os.getpid() not in pids
    running, most = 0, 0
    for event in events:
        running += isinstance(event, Started) - isinstance(event, Ended)
        most = max(most, running)
    assert most == 2


def test_no_task_is_no_event(run):
    assert run() == []


def test_tasks_are_taken_one_by_one_as_slots_become_free(make):
    taken = []

    def next_task(slot: Slot) -> Task | None:
        taken.append(len(taken))
        return Task(str(taken[-1]), tasks.answer) if len(taken) <= 3 else None

    for event in make(ONE).run(next_task):
        if isinstance(event, Ended):
            assert taken == list(range(int(event.key) + 1))


@pytest.mark.parametrize("slots", [ONE, TWO])
def test_a_task_queued_after_all_were_taken_is_run(make, slots):
    queue = [Task("first", tasks.fail)]
    ended = []
    for event in make(slots).run(lambda slot: queue.pop() if queue else None):
        if isinstance(event, Ended):
            ended.append(event.key)
            if event.key == "first":
                queue.append(Task("again", tasks.answer, (1,)))
    assert ended == ["first", "again"]


def test_a_task_past_its_time_is_killed_and_the_next_one_runs(run):
    jobs = [Task("slow", tasks.ignore_everything, timeout_seconds=2.0), Task("next", tasks.answer, (1,))]
    events = run(*jobs)
    pid = next(event.content for event in events if isinstance(event, Message))
    ends = [event for event in events if isinstance(event, Ended)]
    assert [(end.key, end.how) for end in ends] == [("slow", "timed_out"), ("next", "returned")]
    assert not is_running(pid)


def test_stop_asks_and_starts_nothing_more(make):
    executor = make(TWO)
    jobs = [Task("a", tasks.until_stopped), Task("b", tasks.until_stopped), Task("c", tasks.answer, (1,))]
    ends = []
    for event in executor.run(each(*jobs)):
        if isinstance(event, Message) and event.key == "a":
            executor.stop()
        if isinstance(event, Ended):
            ends.append((event.key, event.how, event.result))
    assert sorted(ends) == [("a", "returned", "stopped in order"), ("b", "returned", "stopped in order")]


def test_a_task_that_asks_waits_for_its_answer(make):
    executor = make(TWO)
    results = {}
    for event in executor.run(each(Task("a", tasks.ask_until_no), Task("b", tasks.ask_until_no))):
        if isinstance(event, Message):
            executor.answer(event.key, event.key if event.content < 2 else None)
        if isinstance(event, Ended):
            results[event.key] = event.result
    assert results == {"a": ["a", "a", None, False], "b": ["b", "b", None, False]}


def test_a_task_that_waits_for_an_answer_can_be_stopped(make):
    executor = make(ONE)
    for event in executor.run(each(Task("a", tasks.ask_until_no))):
        if isinstance(event, Message):
            executor.stop()
    assert isinstance(event, Ended)
    assert (event.how, event.result) == ("returned", [None, True])


def test_an_answer_to_a_task_that_is_gone_is_dropped(make):
    executor = make(ONE)
    for event in executor.run(each(Task("a", tasks.send_then_die, (3,)))):
        if isinstance(event, Message):
            executor.answer("a", "too late")
            executor.answer("b", "to nobody")
    assert isinstance(event, Ended)
    assert event.how == "died"


def test_a_second_stop_kills(make):
    executor = make(TWO)
    jobs = [Task("deaf", tasks.ignore_everything), Task("also", tasks.ignore_everything)]
    ends = []
    for event in executor.run(each(*jobs)):
        if isinstance(event, Message):
            executor.stop()
        if isinstance(event, Ended):
            ends.append((event.key, event.how, event.exit_code))
    assert sorted(ends) == [("also", "killed", -signal.SIGKILL), ("deaf", "killed", -signal.SIGKILL)]


def test_a_worker_that_ignores_the_stop_is_killed_when_its_time_is_over(make, monkeypatch):
    monkeypatch.setattr(stopping, "STOP_SECONDS", 0.0)
    executor = make(ONE)
    ends = []
    for event in executor.run(each(Task("deaf", tasks.ignore_everything))):
        if isinstance(event, Message):
            executor.stop()
        if isinstance(event, Ended):
            ends.append((event.how, event.exit_code))
    assert ends == [("killed", -signal.SIGKILL)]


def test_a_worker_that_sends_without_end_holds_up_neither_the_others_nor_the_stop(make):
    executor = make(TWO)
    ends = []
    for event in executor.run(each(Task("loud", tasks.send_until_stopped), Task("quiet", tasks.answer, (1,)))):
        if isinstance(event, Ended):
            ends.append((event.key, event.how))
            executor.stop()
    assert ends == [("quiet", "returned"), ("loud", "returned")]


def test_closing_the_run_early_leaves_no_process(make):
    with closing(make(TWO).run(each(*(Task(str(n), tasks.ignore_everything) for n in range(2))))) as events:
        pids = [event.content for _, event in zip(range(4), events, strict=False) if isinstance(event, Message)]
    assert len(pids) == 2
    assert not any(is_running(pid) for pid in pids)


# Tasks that need more than one slot, or a node to themselves


def most_at_once(events: Sequence[Event]) -> int:
    running, most = 0, 0
    for event in events:
        running += isinstance(event, Started) - isinstance(event, Ended)
        most = max(most, running)
    return most


def test_an_exclusive_task_runs_alone_and_in_its_turn(run):
    jobs = [
        Task("before", tasks.nap, (0.5,)),
        Task("alone", tasks.nap, (0.1,), exclusive=True),
        Task("after", tasks.nap, (0.1,)),
        Task("beside", tasks.nap, (0.1,)),
    ]
    events = run(*jobs, slots=TWO)
    at = {(type(event), event.key): number for number, event in enumerate(events)}
    assert at[Ended, "before"] < at[Started, "alone"] < at[Ended, "alone"] < at[Started, "after"]
    assert at[Started, "beside"] < min(at[Ended, "after"], at[Ended, "beside"])


def test_a_task_of_two_slots_waits_for_both(run):
    jobs = [
        Task("before", tasks.nap, (0.5,)),
        Task("wide", tasks.nap, (0.1,), num_slots=2),
        Task("after", tasks.where),
    ]
    events = run(*jobs, slots=TWO)
    assert [(type(event), event.key) for event in events if not isinstance(event, Message)] == [
        (kind, key) for key in ("before", "wide", "after") for kind in (Started, Ended)
    ]


def test_a_stop_drops_the_task_that_waits_for_its_slots(make):
    executor = make(TWO)
    events = []
    for event in executor.run(each(Task("a", tasks.until_stopped), Task("alone", tasks.where, exclusive=True))):
        events.append(event)
        if isinstance(event, Message):
            executor.stop()
    assert [event.key for event in events] == ["a"] * 3


def test_an_executor_runs_again_after_it_has_run(make):
    executor = make(ONE)
    for number in range(2):
        assert ends_in(list(executor.run(each(Task("task", tasks.answer, (number,))))))["task"].result == number


# Nodes of a Ray cluster that come and go; these end with none


def test_some_slots_leave_the_others_free(ray, cluster):
    executor = ray.RayExecutor(cluster)
    first = executor.slots[0].node
    part = SomeSlots(executor, lambda slot: slot.node == first)
    events = list(part.run(each(Task("a", tasks.where), Task("b", tasks.where))))
    assert [event.slot.node for event in events if isinstance(event, Started)] == [first, first]
    assert len({slot.node for slot in executor.slots}) == 2


def test_an_exclusive_task_leaves_other_nodes_to_others(ray, cluster):
    jobs = [Task("alone", tasks.nap, (1.0,), exclusive=True), Task("elsewhere", tasks.nap, (0.1,))]
    events = list(ray.RayExecutor(cluster).run(each(*jobs)))
    where = {event.key: event.slot.node for event in events if isinstance(event, Started)}
    assert where["alone"] != where["elsewhere"]
    assert [event.key for event in events if isinstance(event, Ended)] == ["elsewhere", "alone"]


def test_what_ran_on_a_node_that_is_killed_runs_on_another_and_a_node_that_comes_is_used(
    ray, nodes, cluster, monkeypatch
):
    monkeypatch.setattr(ray, "LOOK_SECONDS", 0.0)
    executor, queue = ray.RayExecutor(cluster), [Task("a", tasks.until_stopped)]
    used: list[str] = []
    ends: list[str] = []
    pids: list[int] = []
    for event in executor.run(lambda slot: queue.pop() if queue else None):
        match event:
            case Started():
                used.append(event.slot.node)
            case Message():
                pids.append(event.content)
                if len(used) == 1:
                    nodes.kill(used[0])
                    third = nodes.add(1)
                elif len(used) == 2:
                    nodes.kill(used[1])
                else:
                    executor.stop()
            case Ended():
                ends.append(event.how)
                if event.how == "lost":
                    queue.append(Task("a", tasks.until_stopped))
    assert ends == ["lost", "lost", "returned"]
    assert len(set(used)) == 3
    assert third in used
    assert not any(is_running(pid) for pid in pids)
    assert [slot.node for slot in executor.slots] == [used[2]]


def test_where_no_node_is_left_an_error_says_so(ray, nodes, cluster, monkeypatch):
    monkeypatch.setattr(ray, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(ray, "OPEN_SECONDS", 0.0)
    executor, numbers = ray.RayExecutor(cluster), count()
    for name in {slot.node for slot in executor.slots}:
        nodes.kill(name)
    with pytest.raises(MachineError, match=r"no node of the Ray cluster can be used \(.*; see `ray status`"):
        list(executor.run(lambda slot: Task(str(next(numbers)), tasks.where)))  # some may end before a node does


def test_where_no_head_listens_an_error_says_so_and_ray_is_not_asked(ray, monkeypatch):
    monkeypatch.delattr(ray.ray, "init")  # which would wait for more than a minute
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with (
        pytest.raises(MachineError, match=f"^--ray-address {address}: .*Connection refused; start a cluster with"),
        ray.ray_cluster(address, cpu_slots, (), {}),
    ):
        pass


def test_without_ray_the_error_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "nin_bench.executors.ray", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(InputError, match=r"--executor ray: Ray is not installed; pip install 'nin-bench\[ray\]'"),
        opened_executor(ProcessOptions(device="cpu", ray_address="auto"), ()),
    ):
        pass
