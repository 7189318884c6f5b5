"""Cells that are no networks: what a worker does with them takes a moment, no torch, and repeats."""

import ctypes
import hashlib
import os
import signal
import sys
import threading

import numpy as np

from nin_bench.executors import Channel, Slot
from nin_bench.results.predictions import pack_predictions
from nin_bench.runner.messages import Assignment, CellReady, CellResult, EpochDone
from nin_bench.runner.record import make_record, now

PRELOAD = ("nin_bench.runner.messages", "nin_bench.runner.record", "nin_bench.executors")


def train(channel: Channel, slot: Slot, assignment: Assignment) -> CellResult:
    """As many epochs as the recipe asks for, of a few milliseconds each, and then a record."""
    cell, started_at = assignment.cell, now()
    history: list[dict[str, float]] = []
    outcome = "trained"
    channel.send(CellReady({"num_params": 7, "num_steps": 0}))
    for epoch in range(1, cell.recipe.epochs + 1):
        if channel.should_stop():
            outcome = "interrupted"
            break
        digest = hashlib.pbkdf2_hmac("sha256", cell.cell_id.encode(), bytes([epoch]), 20_000)
        history.append({"epoch": epoch, "train_loss": digest[0] / 256, "seconds": 0.01})
        channel.send(EpochDone({"num_params": 7, "num_steps": epoch}, history[-1]))
    trained = outcome == "trained"
    predicted = np.frombuffer(hashlib.sha256(cell.cell_id.encode()).digest(), np.uint8).astype(np.int16) % 10
    record = make_record(
        cell,
        outcome,
        started_at=started_at,
        metrics={"num_params": 7, "num_steps": len(history), "test_accuracy": 1.0 if trained else None},
        history=history,
        environment=assignment.environment,
        earlier_attempts=assignment.earlier_attempts,
    )
    predictions = {
        "predicted": predicted, "credit": np.ones(len(predicted), np.float32),
        "probability": np.full(len(predicted), 0.5, np.float32), "label": predicted,
    }  # fmt: skip
    return CellResult(record, pack_predictions(predictions, cell.cell_id) if trained else None)


def segfault(channel: Channel, slot: Slot, assignment: Assignment) -> CellResult:
    sys.stderr.write("before the fall\n")
    sys.stderr.flush()
    ctypes.string_at(0)
    raise AssertionError("never reached")


def leave(channel: Channel, slot: Slot, assignment: Assignment) -> CellResult:
    sys.stderr.write("on my way out\n")
    sys.stderr.flush()
    os._exit(3)


def hang(channel: Channel, slot: Slot, assignment: Assignment) -> CellResult:
    channel.send(CellReady({"num_params": 7, "num_macs": 11, "num_steps": 0}))
    for epoch in range(1, 5):  # more than the others have
        channel.send(
            EpochDone(
                {"num_params": 7, "num_macs": 11, "num_steps": epoch + 1}, {"epoch": epoch, "train_loss": 0.5}
            )
        )
    threading.Event().wait()
    raise AssertionError("never reached")


def hang_deaf_to_sigterm(channel: Channel, slot: Slot, assignment: Assignment) -> CellResult:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return hang(channel, slot, assignment)


def be_killed(channel: Channel, slot: Slot, assignment: Assignment) -> CellResult:
    """As the system's out-of-memory killer ends it, and nobody can tell from whom it came: by SIGKILL."""
    sys.stderr.write("more, more\n")
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("never reached")
