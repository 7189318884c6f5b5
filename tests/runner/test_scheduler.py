"""The scheduler with jobs that take a moment, on real processes."""

import multiprocessing
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from nin_bench.errors import ResultsError
from nin_bench.executors import Ended, LocalExecutor, Slot, Task
from nin_bench.runner.scheduler import Call, Scheduler, describe_end
from nin_bench.runner.session import PRELOAD
from tests import executor_tasks as tasks


class Jobs:
    """Jobs that fail are queued again at the end, as often as they may be."""

    def __init__(self, *jobs: tuple[str, Callable[..., Any], tuple[Any, ...]]) -> None:
        self.waiting = deque(Job(self, *job) for job in jobs)
        self.log: list[tuple[Any, ...]] = []

    def next_job(self, slot: Slot) -> "Job | None":
        return self.waiting.popleft() if self.waiting else None


class Job:
    def __init__(self, jobs: Jobs, key: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.jobs, self.key, self.function, self.arguments = jobs, key, function, arguments

    def task(self) -> Task:
        return Task(self.key, self.function, self.arguments)

    def on_started(self, slot: Slot) -> None:
        self.jobs.log.append((self.key, "started"))

    def on_message(self, content: Any) -> Any:
        self.jobs.log.append((self.key, content))
        return f"answer {content}" if content < 2 else ""

    def on_ended(self, end: Ended, *, may_retry: bool) -> None:
        self.jobs.log.append((self.key, end.how, may_retry))
        if end.how != "returned" and may_retry:
            self.jobs.waiting.append(self)


def scheduler(num_slots: int = 1, retries: int = 0) -> Scheduler:
    return Scheduler(LocalExecutor([Slot("cpu") for _ in range(num_slots)], PRELOAD), retries=retries)


def test_jobs_are_done_in_their_order_and_failures_again_at_the_end():
    jobs = Jobs(("bad", tasks.fail, ()), ("good", tasks.answer, (1,)))
    scheduler(retries=2).run(jobs.next_job)
    assert jobs.log == [
        ("bad", "started"), ("bad", "died", True),
        ("good", "started"), ("good", "returned", True),
        ("bad", "started"), ("bad", "died", True),
        ("bad", "started"), ("bad", "died", False),
    ]  # fmt: skip


def test_retries_count_over_all_runs_of_a_scheduler():
    jobs = Jobs(("bad", tasks.fail, ()))
    one = scheduler(retries=1)
    one.run(lambda slot: jobs.waiting.popleft() if jobs.waiting else None)
    jobs.waiting.append(Job(jobs, "bad", tasks.fail, ()))
    one.run(jobs.next_job)
    assert [entry[2] for entry in jobs.log if entry[1] == "died"] == [True, False, False]


def test_what_a_job_returns_for_a_message_is_the_answer():
    jobs = Jobs(("asks", tasks.ask_until_no, ()))
    scheduler().run(jobs.next_job)
    assert jobs.log == [("asks", "started"), ("asks", 0), ("asks", 1), ("asks", 2), ("asks", "returned", False)]


def test_a_stop_ends_what_runs_and_nothing_is_tried_again():
    jobs = Jobs(("a", tasks.until_stopped, ()), ("b", tasks.answer, (1,)))
    one = scheduler(retries=3)

    class Stopping(Job):
        def on_message(self, content: Any) -> None:
            one.executor.stop()

    jobs.waiting[0] = Stopping(jobs, "a", tasks.until_stopped, ())
    one.run(jobs.next_job)
    assert jobs.log == [("a", "started"), ("a", "returned", False)]


def test_what_a_job_raises_ends_the_run_and_leaves_no_process():
    class Spoiled(Job):
        def on_message(self, content: Any) -> None:
            raise ResultsError("no space")

    jobs = Jobs()
    jobs.waiting.extend([Spoiled(jobs, "a", tasks.ignore_everything, ())])
    with pytest.raises(ResultsError, match="no space"):
        scheduler(2).run(jobs.next_job)
    assert not multiprocessing.active_children()


def test_a_call_keeps_its_end():
    calls = [
        Call(str(number), lambda number=number: Task(str(number), tasks.answer, (number,))) for number in (1, 2)
    ]
    waiting = deque(calls)
    scheduler(2).run(lambda slot: waiting.popleft() if waiting else None)
    assert [call.end and call.end.result for call in calls] == [1, 2]


@pytest.mark.parametrize(
    ("end", "described"),
    [
        (Ended("a", "timed_out"), ("timed_out", "took longer than the limit of 2.5 s")),
        (Ended("a", "killed"), ("interrupted", "killed, since the run had to stop at once")),
        (Ended("a", "died", exit_code=3, output="bye"), ("crashed", "its process ended with status 3: bye")),
    ],
)
def test_an_end_without_a_result_has_an_outcome_and_an_error(end, described):
    assert describe_end(end, 2.5) == described
