"""Train one cell and say what came of it, in whatever process this is called."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import torch

from nin_bench.checkpoint import Checkpoints, read_header, restore_from, write_checkpoint, write_weights
from nin_bench.environment import describe_system, describe_torch, device_name
from nin_bench.errors import ResultsError
from nin_bench.executors import Channel, Slot
from nin_bench.files import write_atomically
from nin_bench.models.code import code_digest
from nin_bench.more_epochs import KeptState
from nin_bench.results import Record
from nin_bench.results.predictions import pack_predictions
from nin_bench.results.probes import ProbeFile
from nin_bench.results.records import Devices
from nin_bench.runner.cell_training import CellTraining, describe_failure
from nin_bench.runner.messages import (
    Assignment,
    CellFiles,
    CellMessage,
    CellReady,
    CellResult,
    CheckpointPolicy,
    EpochDone,
    FilesWanted,
    FileWritten,
    ProbeAssignment,
)
from nin_bench.runner.record import make_record, now
from nin_bench.training.device_group import DeviceGroup
from nin_bench.training.evaluation import StoppedError
from nin_bench.training.progress import Epoch

EPOCH_SECONDS = 1.0
"""An epoch's end is saved when the last save is so long ago. Saving what took less time than that would cost more
than doing it again."""


def prepare_process(slot: Slot) -> None:
    """Make a fresh process compute as every worker does. On a CPU that is one thread."""
    if slot.device == "cpu":
        torch.set_num_threads(1)
    # On CUDA convolutions would else compute `fp32` in TF32, unlike dense layers, and not repeat.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True


def data_dir_at(slot: Slot, data_dir: Path | None) -> Path | None:
    """Where datasets lie on a slot's machine: where the driver says if it is its own, else in the usual places."""
    return None if slot.node else data_dir


def run_cell_task(channel: Channel, slot: Slot, assignment: Assignment) -> CellResult | ResultsError:
    """`run_cell` as an executor's task; a disk that refuses is its result, not an exception.

    On a node of a cluster the results folder cannot be seen. What the cell goes on from comes from the driver, and
    what is written is sent there.
    """
    prepare_process(slot)
    try:
        with carried_out_at(slot, assignment, channel.ask) as here:
            return run_cell(here, slot.device, on_message=channel.send, should_stop=channel.should_stop)
    except ResultsError as refusal:
        return refusal


@contextmanager
def carried_out_at(
    slot: Slot, assignment: Assignment, ask: Callable[[FilesWanted], CellFiles | None]
) -> Iterator[Assignment]:
    """The assignment as a slot's machine can carry it out: on a node, with folders of its own."""
    if not slot.node:
        yield assignment
        return
    files = ask(FilesWanted()) if assignment.policy.goes_on else None
    with TemporaryDirectory() as folder:
        yield replace(
            assignment,
            data_dir=data_dir_at(slot, assignment.data_dir),
            environment={**assignment.environment, **describe_system(), "node": slot.node},
            policy=_brought(assignment.policy, Path(folder), files),
        )


def _brought(policy: CheckpointPolicy, folder: Path, files: CellFiles | None) -> CheckpointPolicy:
    """The policy with a folder of this machine, in which the files are that came, if any did."""
    checkpoints, kept = folder / "checkpoints", folder / "kept.ckpt"
    for name, content in files.checkpoints.items() if files else ():
        write_atomically(checkpoints / name, content)
    if files and files.kept is not None:
        write_atomically(kept, files.kept)
    return CheckpointPolicy(
        checkpoints=checkpoints if policy.checkpoints else None,
        seconds=policy.seconds,
        weights=folder / "weights" if policy.weights else None,
        state=folder / "state" if policy.state else None,
        kept=KeptState(policy.kept.cell, kept) if policy.kept and kept.exists() else None,
        sends=True,
    )


def run_probe_task(channel: Channel, slot: Slot, assignment: ProbeAssignment) -> ProbeFile | str:
    """Have a network whose state was kept answer probes, as an executor's task; or why it cannot, in a line."""
    prepare_process(slot)
    training = CellTraining(
        assignment.cell,
        data_dir=data_dir_at(slot, assignment.data_dir),
        device=slot.device,
        should_stop=channel.should_stop,
    )
    answer: ProbeFile | str | None = None
    try:
        with TemporaryDirectory() as folder, training.failures_noted():
            training.prepare()
            state = assignment.state
            if slot.node:
                if (content := channel.ask(FilesWanted())) is None:
                    raise StoppedError
                state = Path(folder) / state.name
                write_atomically(state, content)
            answer = restore_from(state, assignment.cell, training.restore)
            if answer is None and read_header(state).metrics.test_accuracy != assignment.test_accuracy:
                answer = f"weights/{assignment.state.name} is of another training than the record"
            if answer is None:
                answer = training.probe(assignment.probes, assignment.test_accuracy)
    except ResultsError as refusal:
        return str(refusal)
    return answer or training.error or training.outcome


def run_cell(
    assignment: Assignment,
    device: str = "cpu",
    *,
    on_message: Callable[[CellMessage], None] = lambda message: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> CellResult:
    """Train a cell to its end, from its last checkpoint on, and evaluate it; only then are the test images read.

    Whatever goes wrong with the cell is the record's outcome, with its cause. Checkpoints stay, since the record
    is not safe yet.

    Raises:
        ResultsError: a checkpoint or the weights cannot be stored.
    """
    run = CellRun(assignment, device, on_message, should_stop)
    with run.training.failures_noted():
        run.begin()
    return run.go_on()


class CellRun:
    """A cell's training, kept while it lasts; arguments as for `run_cell` and `CellTraining`."""

    def __init__(
        self,
        assignment: Assignment,
        device: str,
        on_message: Callable[[CellMessage], None],
        should_stop: Callable[[], bool],
        group: DeviceGroup | None = None,
    ) -> None:
        self.training = CellTraining(
            assignment.cell,
            data_dir=assignment.data_dir,
            device=device,
            should_stop=should_stop,
            micro_batch=assignment.micro_batch,
            num_workers=assignment.environment.get("workers", 1),
            group=group,
        )
        self.policy = policy = assignment.policy
        own = {"device": device_name(device), "torch": describe_torch(device)}
        self.environment = {**assignment.environment, **own}
        self.earlier_attempts = assignment.earlier_attempts
        self.probes = assignment.probes
        self.on_message = on_message
        self.checkpoints = Checkpoints(policy.checkpoints, assignment.cell) if policy.checkpoints else None
        self.batched_seeds: int | None = None
        """Seeds that were trained with it as one batched model."""
        self.earlier_devices: Devices | None = None
        """Those that trained what it goes on from."""
        self.done_before = (0, 0.0)
        """Images of training, and seconds, that it goes on from."""
        self.started_at = now()
        self.saved = time.monotonic()

    def begin(self, like: CellTraining | None = None) -> None:
        """Make the training ready, from its last checkpoint on; use the images of one like it that is ready."""
        training = self.training
        training.prepare(like)
        notes = self.checkpoints.restore(training.restore) if self.checkpoints else []
        # What could not be used was quarantined, so whatever is left was gone on from.
        is_resumed = bool(self.checkpoints and self.checkpoints.paths())
        if self.checkpoints and is_resumed and (saved := self.checkpoints.newest_record()):
            self.batched_seeds, self.earlier_devices = saved.batched_seeds, saved.devices
        if (kept := self.policy.kept) and not is_resumed:
            damage = restore_from(kept.path, kept.cell, training.restore)
            is_resumed = damage is None
            notes += filter(None, [damage])
        progress = training.trainer.progress
        self.done_before = progress.num_images, progress.train_seconds
        ready = CellReady(
            dict(training.metrics),
            [*training.history],
            is_resumed=is_resumed,
            notes=notes,
            environment=self.environment,
        )
        self.on_message(ready)

    def go_on(self) -> CellResult:
        """Train the epochs that are left, if nothing went wrong before, and evaluate."""
        training = self.training
        predictions, answers, probe_error = None, None, None
        if training.outcome == "trained":
            with training.failures_noted():
                while training.epochs_left:
                    row = training.run_epoch(after_step=lambda: self.save_after(self.policy.seconds))
                    self.note_epoch(row)
                # Packed here, since the driver has many workers, and has more to do for a cell than write it.
                predictions = pack_predictions(training.evaluate(), training.cell.cell_id)
                if self.policy.weights:
                    write_weights(self.policy.weights, training.weights())
                    self.send("weights", self.policy.weights)
                if self.policy.state:
                    write_checkpoint(self.policy.state, self.record("trained", None), training.state())
                    self.send("state", self.policy.state)
                answers, probe_error = self.ask_probes()
        if training.outcome == "interrupted" and training.is_prepared:
            self.save()
        record = self.record(training.outcome, training.error)
        if record.outcome != "trained":  # stopped while it answered probes, it is evaluated again when it goes on
            return CellResult(record)
        return CellResult(record, predictions, answers, probe_error)

    def ask_probes(self) -> tuple[ProbeFile | None, str | None]:
        """The trained network's answers, or what went wrong: an error costs the probes, not the record."""
        if self.probes is None:
            return None, None
        try:
            return self.training.probe(self.probes, self.training.metrics["test_accuracy"]), None
        except StoppedError:
            raise
        except Exception as failure:
            return None, describe_failure(failure)[1]

    def note_epoch(self, row: Epoch) -> None:
        """Save after an epoch, unless that was done a moment ago, and tell of it.

        On a node it is saved only when it is time: a driver could not write every epoch of hundreds of cells.
        """
        self.save_after(self.policy.seconds if self.policy.sends else min(EPOCH_SECONDS, self.policy.seconds))
        self.on_message(EpochDone(dict(self.training.metrics), row))

    def save_after(self, seconds: float) -> None:
        """Save if the last time is so long ago."""
        if self.has_to_save(seconds):
            self.save()

    def has_to_save(self, seconds: float) -> bool:
        """Whether the last time is so long ago."""
        return time.monotonic() - self.saved >= seconds

    def save(self) -> None:
        """Write a checkpoint, if it keeps any."""
        if self.checkpoints:
            state = self.training.state()
            path = self.checkpoints.save(self.record("interrupted", "killed before its end"), state)
            self.send("checkpoint", path)
            self.saved = time.monotonic()

    def send(self, kind: Literal["checkpoint", "weights", "state"], path: Path) -> None:
        """Send what was written to the machine that keeps it, if that is another one."""
        if self.policy.sends:
            self.on_message(FileWritten(kind, path.name, path.read_bytes()))

    def record(self, outcome: str, error: str | None) -> Record:
        """The record that it would have if it ended now."""
        return make_record(
            self.training.cell,
            outcome,
            started_at=self.started_at,
            error=error,
            metrics=self.training.metrics,
            history=self.training.history,
            environment=self.environment,
            earlier_attempts=self.earlier_attempts,
            code_digest=code_digest(self.training.cell.model.name),
            batched_seeds=self.batched_seeds,
            devices=self.devices(),
        )

    def devices(self) -> Devices | None:
        """Those that train it together, or did before, and how fast these are."""
        training, earlier = self.training, self.earlier_devices
        if training.group is None:
            return earlier
        count = max(training.group.size, earlier.count if earlier else 0)
        if not training.is_prepared:
            return Devices(count=count)
        progress, (num_images, seconds) = training.trainer.progress, self.done_before
        num_images, seconds = progress.num_images - num_images, progress.train_seconds - seconds
        return Devices(count=count, images_per_second=num_images / seconds if num_images else None)
