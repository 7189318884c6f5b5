"""A budget whose time is over as soon as a cell has saved a checkpoint, however fast this machine is."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest

from nin_bench.runner import budget


def end_at_first_checkpoint(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let the next budgets end when the results folder first has a checkpoint."""

    class Timer(Thread):
        def __init__(self, seconds: float, stop: Callable[[], None]) -> None:
            super().__init__(daemon=True)
            self.stop = stop
            self.cancelled = Event()

        def run(self) -> None:
            while not self.cancelled.is_set():
                if any((folder / "checkpoints").glob("*.ckpt")):
                    self.stop()
                    return
                time.sleep(0.05)

        def cancel(self) -> None:
            self.cancelled.set()

    monkeypatch.setattr(budget, "Timer", Timer)
