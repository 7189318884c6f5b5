"""A budget of time: the moment at which work has to stop, so that what follows is done in time, too."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Timer

from nin_bench.executors import Executor

STOP_SECONDS = 5.0
"""Kept for the workers: to end a step, and to save."""
REPORT_SECONDS = 15.0
"""Kept for a report, beside what its cells take; twice what the shipped ones took on two free cores."""
REPORT_CELL_SECONDS = 0.1
"""For each cell in it."""
MOST_KEPT = 0.5
"""No more than this share of a budget is kept, however short it is."""


@dataclass(kw_only=True)
class EndedEarly:
    """What ended work early, if something did."""

    signal_number: int | None = None
    """The signal that asked for an end."""
    out_of_time: bool = False
    """Whether its budget of time asked for it."""


def work_ends_at(started: float, seconds: float, num_cells: int | None = None) -> float:
    """When work has to stop, by `time.monotonic`, so that a report of `num_cells`, if any, can follow."""
    report = 0.0 if num_cells is None else REPORT_SECONDS + REPORT_CELL_SECONDS * num_cells
    return started + seconds - min(STOP_SECONDS + report, MOST_KEPT * seconds)


@contextmanager
def stopped_at(ends_at: float | None, executor: Executor, session: EndedEarly) -> Iterator[None]:
    """Meanwhile the executor is asked to stop when the time is over, unless it was before; the session is told."""

    def stop() -> None:
        if not executor.stopping:  # a second request would kill the workers
            session.out_of_time = True
            executor.stop()

    if ends_at is None:
        yield
        return
    timer = Timer(max(0.0, ends_at - time.monotonic()), stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
