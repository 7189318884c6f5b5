"""A grid whose seeds are trained until its claims are decided; its cells have accuracies, but no networks."""

import hashlib
import os
from typing import Any

import numpy as np

from nin_bench.executors import Channel, Slot
from nin_bench.results.predictions import pack_predictions
from nin_bench.runner.messages import Assignment, CellResult
from nin_bench.runner.record import make_record, now

PRELOAD = ("nin_bench.runner.messages", "nin_bench.runner.record", "nin_bench.executors", "tests.looks_cells")

# Looks at 8, 12 and 16 seeds. At 8 no claim can be decided; "wider" is at 12; "widest" never, since it is true by
# about its margin. The network with 64 units is in no primary claim.
GRID = """
schema: 1
name: looks
data: {name: digits}
recipe: {epochs: 1}
seeds: {until: decided, at_most: 16}
models:
  - {name: mlp, hidden: [8, 16, 32, 64]}
hypotheses:
  - id: wider
    claim: Sixteen units classify better than eight.
    primary: true
    metric: test_accuracy
    compare: [{name: mlp, hidden: 16}, {name: mlp, hidden: 8}]
    expect: greater
    margin: 0.01
  - id: widest
    claim: Thirty-two units classify better than sixteen.
    primary: true
    metric: test_accuracy
    compare: [{name: mlp, hidden: 32}, {name: mlp, hidden: 16}]
    expect: greater
    margin: 0.01
  - id: aside
    claim: Sixty-four units classify better than eight.
    metric: test_accuracy
    compare: [{name: mlp, hidden: 64}, {name: mlp, hidden: 8}]
    expect: greater
    margin: 0.01
"""
MEANS = {8: 0.70, 16: 0.75, 32: 0.76, 64: 0.80}
NUM_TRAINED = {8: 12, 16: 16, 32: 16, 64: 8}
LOOKS = [
    ("wider", 8, "undecided"), ("widest", 8, "undecided"), ("aside", 8, "undecided"), ("wider", 12, "supported"),
    ("widest", 12, "undecided"), ("widest", 16, "undecided"),
]  # fmt: skip


def train(channel: Channel, slot: Slot, assignment: Assignment) -> CellResult:
    """A record with an accuracy that depends on the width and, a little, on the seed."""
    cell, started_at = assignment.cell, now()
    hidden: Any = cell.model.arguments["hidden"]
    noise = hashlib.sha256(f"{hidden} {cell.seed}".encode()).digest()[0] / 256 - 0.5
    accuracy = round(MEANS[hidden] + 0.02 * noise, 4)
    metrics = {
        "num_params": 7, "num_steps": 1, "test_accuracy": accuracy, "test_loss": 1.0, "train_loss": 1.0,
        "chance_loss": 2.303, "chance_accuracy": 0.1, "failed": False, "lost_classes": [], "num_lost_classes": 0,
    }  # fmt: skip
    record = make_record(
        cell,
        "trained",
        started_at=started_at,
        metrics=metrics,
        history=[{"epoch": 1, "train_loss": 1.0}],
        environment=assignment.environment,
        earlier_attempts=assignment.earlier_attempts,
    )
    right = np.zeros(4, np.int16)
    predictions = {
        "predicted": right, "credit": np.ones(4, np.float32), "probability": np.full(4, 0.5, np.float32),
        "label": right,
    }  # fmt: skip
    return CellResult(record, pack_predictions(predictions, record.cell_id))


def train_or_die(channel: Channel, slot: Slot, assignment: Assignment) -> CellResult:
    """The same, but the worker of one cell dies."""
    cell = assignment.cell
    if (cell.model.arguments["hidden"], cell.seed) == (16, 3):
        os._exit(1)
    return train(channel, slot, assignment)
