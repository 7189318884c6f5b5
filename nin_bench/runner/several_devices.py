"""Train one cell on several devices: PyTorch's elastic launcher starts a process for each, which are a group."""

import logging
import os
import pickle
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import distributed

from nin_bench.cell import Cell
from nin_bench.checkpoint import restore_from, write_checkpoint
from nin_bench.data import describe_data
from nin_bench.errors import InputError, ResultsError, SpecError
from nin_bench.executors import Channel, Slot
from nin_bench.executors.process import die_with_parent
from nin_bench.failures import PASSING
from nin_bench.models import build_model
from nin_bench.runner.cell_training import CellTraining
from nin_bench.runner.messages import Assignment, CellResult
from nin_bench.runner.session import RunOptions
from nin_bench.runner.worker import CellRun, prepare_process
from nin_bench.training.device_group import DeviceGroup, check_shareable
from nin_bench.training.evaluation import StoppedError

SETTLE_SECONDS = 1.0
"""A process that fails ends so much later: one whose partner has died fails, too, and must not end before it."""
START, RESULT = "start", "result"
"""Files that go between the processes: the checkpoint that all go on from, and what came of the cell."""
LONGEST_WAIT = timedelta(days=365)
"""The others wait for the first one while it evaluates; a process that dies is noticed by its launcher."""


def check_devices_per_cell(options: RunOptions, cells: Iterable[Cell]) -> None:
    """Refuse cells that several devices cannot train together, before anything is trained.

    Raises:
        InputError: a network or recipe that cannot be shared.
    """
    if options.devices_per_cell == 1:
        return
    for cell in {cell.variant_id: cell for cell in cells}.values():
        with torch.device("meta"):
            model = build_model(
                cell.model.name, describe_data(cell.data, options.data_dir), **cell.model.arguments
            )
        try:
            check_shareable(model, cell.recipe)
        except InputError as refusal:
            raise InputError(f"--devices-per-cell: {cell.label}: {refusal}") from refusal


def run_on_devices_task(channel: Channel, slot: Slot, assignment: Assignment) -> CellResult | ResultsError:
    """`run_cell_task` on all slots of a task. Ends this process if one of theirs dies: the others end with it."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        _launch(channel, assignment, folder)
        result: CellResult | ResultsError = pickle.loads((folder / RESULT).read_bytes())
        return result


def _launch(channel: Channel, assignment: Assignment, folder: Path) -> None:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in ("torch.distributed.elastic", "torch.multiprocessing"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # the line below says it all
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=len(channel.slots),
        run_id=assignment.cell.cell_id,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        # A fork has imported everything; CUDA, which the launcher may have asked for its devices, forbids it.
        start_method="fork" if channel.slots[0].device == "cpu" else "spawn",
    )
    try:
        elastic_launch(config, _run_rank)(channel, assignment, folder)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if rank == 0 and (folder / RESULT).exists():
            return
        how = f"was killed by {failure.signal_name()}" if failure.exitcode < 0 else f"failed: {failure.message}"
        sys.exit(f"process {rank + 1} of {len(channel.slots)} that train the cell {how.splitlines()[0]}")


def _run_rank(channel: Channel, assignment: Assignment, folder: Path) -> None:
    """What the process of one device does."""
    die_with_parent()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])  # by which the launcher ends it
    slot = channel.slots[int(os.environ["RANK"])]
    if slot.core is not None:
        with suppress(OSError, AttributeError):
            os.sched_setaffinity(0, {slot.core})
    prepare_process(slot)
    device = torch.device(slot.device)
    backend = "gloo"
    if device.type != "cpu":
        torch.accelerator.set_device_index(device)
        # What processes agree upon beside their gradients needs no accelerator, and waits for none.
        backend = f"cpu:gloo,{device.type}:{distributed.get_default_backend_for_device(device)}"
    distributed.init_process_group(backend, timeout=LONGEST_WAIT)
    group = DeviceGroup()
    try:
        if group.leads:
            _lead(group, channel, slot, assignment, folder)
        else:
            _follow(group, slot, assignment, folder)
    except BaseException:
        time.sleep(SETTLE_SECONDS)
        raise
    distributed.destroy_process_group()


def _lead(group: DeviceGroup, channel: Channel, slot: Slot, assignment: Assignment, folder: Path) -> None:
    """Train the cell as a process alone would, with the others in every step.

    Raises:
        RuntimeError: it failed where the others may wait for it forever.
    """
    result: CellResult | ResultsError
    try:
        run = CellRun(assignment, slot.device, channel.send, channel.should_stop, group)
        training = run.training
        with training.failures_noted():
            run.begin()
            if training.trainer.num_taken:
                write_checkpoint(folder / START, run.record("interrupted", None), training.state())
        if training.outcome not in PASSING:
            group.stops(training.outcome != "trained")
        result = run.go_on()
        failed = result.record.outcome in PASSING
    except ResultsError as refusal:
        result, failed = refusal, True
    (folder / RESULT).write_bytes(pickle.dumps(result))
    if failed:
        raise RuntimeError("see its result")
    group.end()


def _follow(group: DeviceGroup, slot: Slot, assignment: Assignment, folder: Path) -> None:
    """Take the steps that the first process takes, until it stops."""
    training = CellTraining(assignment.cell, data_dir=assignment.data_dir, device=slot.device, group=group)
    with suppress(SpecError):  # the first one's as well, which says so
        training.prepare()
    if group.stops(False):
        return
    if (folder / START).exists():
        damage = restore_from(folder / START, assignment.cell, training.restore)
        assert damage is None, damage
    with suppress(StoppedError):
        while True:
            training.trainer.run_epoch()
