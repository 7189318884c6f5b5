"""Cells that wait for what stops or kills them, so that no test depends on how fast a machine trains."""

import time
from functools import partial
from typing import Any

from nin_bench.executors import Channel, Slot
from nin_bench.runner.cell_queue import CellTask
from nin_bench.runner.messages import Assignment
from nin_bench.runner.worker import run_cell_task
from nin_bench.training.trainer import Trainer


def train_two_epochs_and_wait(num_attempts: int, channel: Channel, slot: Slot, assignment: Assignment) -> Any:
    """`run_cell_task`; in the first attempts it waits after two epochs until it is asked to stop, or killed."""
    run_epoch, epochs = Trainer.run_epoch, []

    def waiting(trainer: Trainer, *arguments: Any, **options: Any) -> Any:
        while len(epochs) == 2 and not channel.should_stop():
            time.sleep(0.01)
        epochs.append(True)
        return run_epoch(trainer, *arguments, **options)

    if len(assignment.earlier_attempts) < num_attempts:
        Trainer.run_epoch = waiting  # type: ignore[method-assign]
    return run_cell_task(channel, slot, assignment)


WAITING = CellTask(partial(train_two_epochs_and_wait, 9))
WAITING_ONCE = CellTask(partial(train_two_epochs_and_wait, 1))
"""Its second attempt is trained to the end."""
