"""What a cell needs to go on where its process ended: written whole, verified before use, the last two kept.

A checkpoint is one file, so that no part can be parted from another:

    SHA-256 of the header, SHA-256 of the state, each in hexadecimal and on a line of its own
    the header: on one line of JSON, the record that the cell would have if nothing came after
    the state: as `torch.save` writes it

Plans and runs read the header alone, so torch is imported only where a state is written or read.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

from nin_bench.cell import Cell
from nin_bench.files import (
    DamagedFileError,
    atomic_stream,
    open_regular,
    parse_json,
    quarantine,
    remove_file,
    write_atomically,
)
from nin_bench.results import Record

SCHEMA = Record.SCHEMA
NUM_KEPT = 2
"""The last one, and the one before it for when the last is damaged."""
MAX_HEADER_BYTES = 16 * 2**20

State = Mapping[str, Any]
"""Plain values and tensors, as an attempt gives them and takes them back."""

_DIGEST_BYTES = 2 * hashlib.sha256().digest_size


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one cell."""

    folder: Path
    cell: Cell

    def paths(self) -> list[Path]:
        """The checkpoints there are, that of the latest step first."""
        return _paths(self.folder, self.cell.cell_id)

    def save(self, record: Record, state: State) -> Path:
        """Write a checkpoint, and drop all but the last two.

        Tensors are written from where they rest, without a copy of them all.

        Args:
            record: what the cell's would be if nothing came after; its `num_steps` orders the checkpoints.
            state: what it needs to go on.

        Returns:
            The checkpoint.

        Raises:
            ResultsError: the system refused; those there were are still there.
        """
        path = self.folder / f"{self.cell.cell_id}.{record.metrics.num_steps}.ckpt"
        write_checkpoint(path, record, state)
        self._drop_old()
        return path

    def add(self, name: str, content: bytes) -> None:
        """Write a checkpoint that another machine saved, and drop all but the last two; raises as `save`."""
        write_atomically(self.folder / Path(name).name, content)
        self._drop_old()

    def _drop_old(self) -> None:
        for old in self.paths()[NUM_KEPT:]:
            remove_file(old)

    def newest_record(self) -> Record | None:
        """`newest_record` of this cell."""
        return newest_record(self.folder, self.cell.cell_id, self.cell)

    def restore(self, use: Callable[[State], None]) -> list[str]:
        """Hand the newest sound state to `use`; one that is damaged, or a ValueError to `use`, is quarantined.

        Returns:
            A sentence for each that was quarantined. Whether any was left, `use` knows.

        Raises:
            ResultsError: the system refused to read one or to quarantine it.
        """
        notes = []
        for path in self.paths():
            note = restore_from(path, self.cell, use)
            if note is None:
                break
            notes.append(note)
        return notes

    def remove(self) -> None:
        """Drop them all; ResultsError if the system refused."""
        for path in self.paths():
            remove_file(path)


def write_checkpoint(path: Path, record: Record, state: State) -> None:
    """Write one checkpoint; ResultsError if the system refused: then what stood at `path` stays."""
    header = json.dumps({"schema": SCHEMA, **record.model_dump()}, allow_nan=False).encode()
    with atomic_stream(path, len(header) + _num_bytes(state)) as stream:
        digest = _sha256(header)
        # The state's digest is known when the state is written, so its place is held.
        stream.write(b"%b\n%b\n%b\n" % (digest, bytes(_DIGEST_BYTES), header))
        digest = _write_state(state, stream)
        stream.seek(_DIGEST_BYTES + 1)
        stream.write(digest)


def restore_from(path: Path, cell: Cell, use: Callable[[State], None]) -> str | None:
    """Hand a checkpoint's state to `use`; one that is damaged, or that `use` refuses, is quarantined.

    Returns:
        A sentence if it was quarantined.

    Raises:
        ResultsError: the system refused to read it or to quarantine it.
    """
    try:
        use(_read(path, cell))
        return None
    except (DamagedFileError, ValueError, LookupError, TypeError, AttributeError) as error:
        reason = str(error) if isinstance(error, DamagedFileError) else f"cannot be gone on from ({error})"
        kept = quarantine(path, reason)
        return f"{path.parent.name}/{path.name} {reason}; quarantined as {kept.name}"


def _read(path: Path, cell: Cell) -> State:
    """A checkpoint's state, once all of the file is verified."""
    import torch

    with open_regular(path) as stream:
        _check_is_of(_read_verified(stream), cell.cell_id, cell)
        try:
            state: State = torch.load(stream, map_location="cpu", weights_only=True)
        except (MemoryError, torch.OutOfMemoryError, OSError):  # no fault of the checkpoint's
            raise
        except Exception as error:  # whatever torch makes of a state that somebody forged, digest and all
            raise DamagedFileError(f"holds no state ({type(error).__name__})") from error
        return state


def newest_record(folder: Path, cell_id: str, planned: Cell) -> Record | None:
    """The header of a cell's newest checkpoint whose header is whole and of it; states are not looked at.

    Raises:
        ResultsError: the system refused to read one.
    """
    for path in _paths(folder, cell_id):
        try:
            record = read_header(path)
            _check_is_of(record, cell_id, planned)
            return record
        except (DamagedFileError, FileNotFoundError):  # which a run under way may drop while others plan
            continue
    return None


def read_header(path: Path) -> Record:
    """The record in a checkpoint's header; its state is not looked at.

    Raises:
        DamagedFileError: the header is not whole, or of another schema.
        FileNotFoundError: there is no such file.
        ResultsError: the system refused to read it.
    """
    with open_regular(path) as stream:
        return _read_header(stream)[0]


def _paths(folder: Path, cell_id: str) -> list[Path]:
    """A cell's checkpoints, newest first."""
    try:
        with os.scandir(folder) as entries:  # a cluster's cells may have thousands of files here
            own = [entry.name for entry in entries if entry.name.startswith(cell_id)]
    except OSError:  # there is no such folder
        return []
    parts = {name: name.removeprefix(cell_id).split(".") for name in own}
    steps = {
        name: int(found[1])
        for name, found in parts.items()
        if len(found) == 3 and found[::2] == ["", "ckpt"] and found[1].isdecimal() and len(found[1]) <= 18
    }
    return [folder / name for name in sorted(steps, key=lambda name: steps[name], reverse=True)]


def _check_is_of(record: Record, cell_id: str, planned: Cell) -> None:
    record.check_id(cell_id)
    if not record.is_of(planned):
        raise DamagedFileError("is of another experiment: a default has changed since")


def check_checkpoint(path: Path) -> None:
    """See that a checkpoint is whole, and of the cell that it is named after.

    Raises:
        DamagedFileError: it is not; it carries the reason.
        FileNotFoundError: there is no such file.
        ResultsError: the system refused to read it.
    """
    with open_regular(path) as stream:
        _read_verified(stream).check_id(path.name.partition(".")[0])


def _read_verified(stream: BufferedReader) -> Record:
    """The record in the header of a checkpoint that is whole; the stream then stands where the state begins."""
    record, digest = _read_header(stream)
    start = stream.tell()
    if hashlib.file_digest(stream, "sha256").hexdigest().encode() != digest:
        raise DamagedFileError("is not whole: its state has another SHA-256")
    stream.seek(start)
    return record


def _read_header(stream: BufferedReader) -> tuple[Record, bytes]:
    """The record in the header, and the state's digest."""
    digests = stream.read(2 * (_DIGEST_BYTES + 1)).split(b"\n")
    line = stream.readline(MAX_HEADER_BYTES)
    if len(digests) != 3 or not line.endswith(b"\n") or _sha256(line[:-1]) != digests[0]:
        raise DamagedFileError("is not whole: its header has another SHA-256")
    return Record.parse(parse_json(line, SCHEMA)), digests[1]


def write_weights(path: Path, weights: State) -> None:
    """Write a network's state dict, as `torch.load(path, weights_only=True)` reads it.

    Raises:
        ResultsError: the system refused; whatever stood at `path` still stands there.
    """
    with atomic_stream(path, _num_bytes(weights)) as stream:
        _write_state(weights, stream)


def _write_state(state: State, stream: BinaryIO) -> bytes:
    """Write a state as torch does, and return its SHA-256."""
    import torch

    sink = _Sink(stream)
    torch.save(state, sink)  # type: ignore[arg-type]  # which asks of it to write, and no more
    if sink.failure is not None:
        raise sink.failure
    return sink.digest.hexdigest().encode()


class _Sink:
    """Takes what `torch.save` writes. A failure waits until it has ended: torch would hide it behind its own."""

    def __init__(self, stream: BinaryIO) -> None:
        self.digest = hashlib.sha256()
        self.failure: OSError | None = None
        self._stream = stream

    def write(self, data: memoryview) -> int:
        if self.failure is None:
            self.digest.update(data)
            try:
                self._stream.write(data)
            except OSError as failure:
                self.failure = failure
        return len(data)

    def flush(self) -> None:
        """Nothing is held back here; who writes the file flushes it."""


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


def _num_bytes(value: Any) -> int:
    """What a state takes, but for a little around its tensors."""
    if isinstance(value, Mapping):
        return sum(_num_bytes(item) for item in value.values())
    return int(getattr(value, "nbytes", 0))
