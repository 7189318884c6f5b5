"""What goes between a run and its workers: a cell to train, how it goes, and what came of it. Imports no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nin_bench.cell import Cell
from nin_bench.more_epochs import KeptState
from nin_bench.results import Record
from nin_bench.results.probes import ProbeFile, Probes
from nin_bench.results.records import Attempt


@dataclass(frozen=True)
class CheckpointPolicy:
    """What is kept of a cell while it trains, and after."""

    checkpoints: Path | None = None
    """The folder of what it needs to go on; None keeps nothing."""
    seconds: float = 60.0
    """How long it may train between two checkpoints."""
    weights: Path | None = None
    """The file that its final weights go to; None drops them."""
    state: Path | None = None
    """The file that the state goes to that it ended with, as a checkpoint; None drops it."""
    kept: KeptState | None = None
    """What it goes on from if it has no checkpoint: a shorter training; None starts at the first step."""
    goes_on: bool = False
    """Whether there is something to go on from, for which a worker of another machine asks."""
    sends: bool = False
    """Whether all of these are another machine's, so that what is written has to be sent there."""


KEEP_NOTHING = CheckpointPolicy()


@dataclass(frozen=True)
class Assignment:
    """A cell, and what its worker has to know beside it; nothing here can change its result."""

    cell: Cell
    data_dir: Path | None = None
    """Where datasets lie; None looks in the usual places."""
    environment: Mapping[str, Any] = field(default_factory=dict)
    """What its record says of where it runs; the worker adds the device and PyTorch's settings."""
    policy: CheckpointPolicy = KEEP_NOTHING
    earlier_attempts: Sequence[Attempt] = ()
    """Those of the cell's record, which the new one keeps."""
    probes: Probes | None = None
    """What the trained network is asked at its end."""
    micro_batch: int | None = None
    """Images that pass at once where the recipe says `auto`; None lets the worker choose."""


@dataclass(frozen=True)
class ProbeAssignment:
    """A trained cell whose state was kept, and what its network is asked."""

    cell: Cell
    data_dir: Path | None
    state: Path
    """The state, as a checkpoint."""
    probes: Probes
    test_accuracy: float
    """Of the cell's record."""


@dataclass(frozen=True)
class CellResult:
    """A record, and what its network said."""

    record: Record
    predictions: bytes | None = None
    """The content of the predictions file; None unless it was trained."""
    probes: ProbeFile | None = None
    """What it answered to probes."""
    probe_error: str | None = None
    """Why it did not answer, in a line, where it was asked."""


@dataclass(frozen=True)
class CellReady:
    """A cell's data and network are there; it trains from here on."""

    metrics: Mapping[str, Any]
    """What is known of it."""
    history: Sequence[Mapping[str, Any]] = ()
    """The epochs that it need not train, since a checkpoint holds them."""
    is_resumed: bool = False
    """Whether there was one."""
    notes: Sequence[str] = ()
    """A sentence for each checkpoint that could not be used."""
    environment: Mapping[str, Any] = field(default_factory=dict)
    """Where it trains, as its record will say."""


@dataclass(frozen=True)
class EpochDone:
    """A cell has passed once more over its images."""

    metrics: Mapping[str, Any]
    """What is known of it."""
    row: Mapping[str, Any]
    """The epoch's, of the history."""


@dataclass(frozen=True)
class FilesWanted:
    """A worker that cannot see the results folder asks for what its cell goes on from, as `CellFiles`."""


@dataclass(frozen=True)
class CellFiles:
    """What a cell goes on from."""

    checkpoints: Mapping[str, bytes]
    """The content of its checkpoints, by the names of their files."""
    kept: bytes | None
    """The content of the kept state."""


@dataclass(frozen=True)
class FileWritten:
    """A worker that cannot see the results folder has written a file for it."""

    kind: Literal["checkpoint", "weights", "state"]
    name: str
    content: bytes


CellMessage = CellReady | EpochDone | FilesWanted | FileWritten
"""What a worker sends while it trains a cell."""
