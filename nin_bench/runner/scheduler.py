"""Hand jobs to an executor and give each what becomes of its task: cells, trials and cost samples alike."""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

from nin_bench.executors import Ended, Executor, Message, Slot, Started, Task


class Job(Protocol):
    """Something to be done by one task, and what follows from how it goes."""

    @property
    def key(self) -> str:
        """Its name; a retry has the same, and no two jobs that run at the same time share one."""

    def task(self) -> Task:
        """Make its task, whose key is the job's; called when a slot is free for it."""

    def on_started(self, slot: Slot) -> None:
        """Its task has a process; told again where its node was lost, and it starts anew on another."""

    def on_message(self, content: Any) -> Any:
        """Receive what its task sent; anything but None that is returned is the answer it waits for."""

    def on_ended(self, end: Ended, *, may_retry: bool) -> None:
        """Its task is over. A job that failed can be queued again by whoever offers jobs, if it may be retried."""


NextJob = Callable[[Slot], Job | None]


@dataclass
class Scheduler:
    """Has jobs done until none is offered."""

    executor: Executor
    retries: int = 0
    admit: Callable[[Slot, NextJob], Job | None] = lambda slot, next_job: next_job(slot)
    """Decides what a slot gets: the next job, or something else first."""

    def __post_init__(self) -> None:
        self._num_ended: Counter[str] = Counter()

    def run(self, next_job: NextJob) -> None:
        """Have jobs done, each as soon as a slot is free for it; one whose node is lost is done on another.

        Whatever a job raises ends the run, and the workers with it.

        Args:
            next_job: the next one; None if there is none for now. Once no task runs, that is the end.
        """
        jobs: dict[str, Job] = {}
        lost: deque[Job] = deque()

        def next_task(slot: Slot) -> Task | None:
            job = self.admit(slot, lambda slot: lost.popleft() if lost else next_job(slot))
            if job is None:
                return None
            jobs[job.key] = job
            return job.task()

        with closing(self.executor.run(next_task)) as events:
            for event in events:
                job = jobs[event.key]
                match event:
                    case Started():
                        job.on_started(event.slot)
                    case Message():
                        if (answer := job.on_message(event.content)) is not None:
                            self.executor.answer(event.key, answer)
                    case Ended(how="lost"):
                        lost.append(jobs.pop(event.key))
                    case Ended():
                        del jobs[event.key]
                        self._num_ended[event.key] += 1
                        may_retry = not self.executor.stopping and self._num_ended[event.key] <= self.retries
                        job.on_ended(event, may_retry=may_retry)


@dataclass
class Call:
    """A job of which little but the end matters."""

    key: str
    make_task: Callable[[], Task]
    then: Callable[[Ended], None] = lambda end: None
    """Receives the end."""
    answer: Callable[[Any], Any] = lambda content: None
    """Receives what its task sends; what it returns is the answer."""
    end: Ended | None = None

    def task(self) -> Task:
        """Make the task."""
        return self.make_task()

    def on_started(self, slot: Slot) -> None:
        """Nothing follows."""

    def on_message(self, content: Any) -> Any:
        """Answer."""
        return self.answer(content)

    def on_ended(self, end: Ended, *, may_retry: bool) -> None:
        """Keep the end."""
        self.end = end
        self.then(end)


@dataclass(frozen=True)
class Kind:
    """Machines that should measure the same, by one of them."""

    machine: dict[str, Any]
    """The machine, as `describe_machine` describes it."""
    executor: Executor
    """On that machine alone."""
    device_bytes: Mapping[str, int]
    """Memory of each accelerator, by `str(slot)`."""


def describe_end(end: Ended, timeout_seconds: float | None) -> tuple[str, str]:
    """The outcome (`crashed`, `timed_out`, `interrupted`) and the error of a task that did not return."""
    if end.how == "timed_out":
        return "timed_out", f"took longer than the limit of {timeout_seconds:g} s"
    if end.how == "killed":
        return "interrupted", "killed, since the run had to stop at once"
    return "crashed", end.cause
