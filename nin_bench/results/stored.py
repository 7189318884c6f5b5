"""What the files of a results folder must hold, checked before anything is read off them. Imports no torch.

They may come from anybody: what is not as a run writes it is damage, and is told with its reason.
"""

import io
import math
import zipfile
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nin_bench.errors import shown
from nin_bench.files import DamagedFileError

SCHEMA = 1
"""Of grid.json, records and predictions."""

OUTCOMES = frozenset({"trained", "diverged", "invalid", "out_of_memory", "crashed", "timed_out", "interrupted"})
"""Everything that can come of a cell."""

SECTIONS = ("model", "data", "recipe")
"""The parts of a cell that are mappings."""

Record = dict[str, Any]
"""What came of a cell: outcome, attempts, metrics, per-epoch history, environment."""

Predictions = dict[str, npt.NDArray[Any]]
"""What was said of every test image, all of one length: `predicted` (-1 for none), `credit` (1 over the number of
classes that share the highest logit), `probability`, `label`."""

_KINDS = {"predicted": "i", "credit": "f", "probability": "f", "label": "i"}
_NUMBERS = frozenset({bool, int, float})
_MAX_UNPACKED_BYTES = 256 * 2**20  # ten million test images
_MAX_HEADER_BYTES = 512
"""Of an array; a run's have 118. In thousands of bytes, brackets could exhaust the parser's memory."""
_LARGEST = 2.0**128  # a loss is computed in single precision; and no measure is negative
_MAX_CLASSES = 2**15
"""What the predictions' int16 can tell apart."""
_PLACES = frozenset({"cell_id", "variant_id", "label", "seed", "outcome", "error"})
"""What tables hold beside the metrics."""


class _Part(BaseModel):
    model_config = ConfigDict(strict=True)


_Id = Annotated[str, Field(pattern=r"^[0-9A-Za-z_-]{1,64}$")]  # names files, so it must not lead out of a folder
_Value = bool | int | float | str | None
_Values = dict[str, _Value | list[_Value]]


class _Variant(_Part):
    variant_id: _Id
    label: str
    model: _Values
    data: _Values
    recipe: _Values


class _Cell(_Part):
    cell_id: _Id
    variant_id: _Id
    label: str
    seed: int


class _Machine(_Part):
    fingerprint: str


class _Grid(_Part):
    name: str
    profile: str
    data: _Values = {}
    recipe: _Values = {}
    variants: list[_Variant]
    cells: list[_Cell]
    lock: dict[str, Any] | None = None
    machine: _Machine | None = None


def check_grid(value: Mapping[str, Any]) -> None:
    """See that a grid.json tells its setting, its variants and its cells.

    Raises:
        DamagedFileError: something is missing or of the wrong kind; it says what.
    """
    try:
        grid = _Grid.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DamagedFileError(f"is not as a run writes it ({place}: {first['msg'].lower()})") from error
    known = {variant.variant_id for variant in grid.variants}
    if unknown := [cell.variant_id for cell in grid.cells if cell.variant_id not in known]:
        raise DamagedFileError(f"is not as a run writes it (cells: {unknown[0]!r} is none of its variants)")


def check_record(value: Mapping[str, Any], cell_id: str) -> None:
    """See that a record is of its cell, and that numbers stand where a report computes with them.

    Raises:
        DamagedFileError: it is of another cell, something is missing or of the wrong kind; it says what.
    """
    if value.get("cell_id") != cell_id:
        raise DamagedFileError(f"is the record of another cell, {shown(value.get('cell_id'))}")
    outcome = value.get("outcome")
    if not isinstance(outcome, str) or outcome not in OUTCOMES:
        raise DamagedFileError(f"has the outcome {shown(outcome)}, which is none we know")
    metrics = value.get("metrics")
    history, attempts = _mappings(value.get("history")), _mappings(value.get("attempts"))
    if not isinstance(metrics, dict) or history is None or not attempts:
        raise DamagedFileError("lacks its metrics, its history or its attempts")
    cell = value.get("cell", {})
    if not isinstance(cell, dict) or not all(isinstance(cell.get(part, {}), dict) for part in SECTIONS):
        raise DamagedFileError("does not tell its cell")
    if not isinstance(value.get("environment", {}), dict):
        raise DamagedFileError("does not tell its environment")
    _check_numbers("metrics", metrics)
    for number, row in enumerate(history, start=1):
        _check_numbers(f"history[{number - 1}]", row)
        if row.get("epoch") != number:
            raise DamagedFileError(f"has epoch {shown(row.get('epoch'))} in the place of epoch {number}")
    for number, attempt in enumerate(attempts):
        if not isinstance(attempt.get("error"), str | None):
            raise DamagedFileError(f"has {shown(attempt['error'])} as attempts[{number}].error, which is no text")
        # What is no text there, is a number.
        told = {name: value for name, value in attempt.items() if not isinstance(value, str)}
        _check_numbers(f"attempts[{number}]", {**told, "error": None})


def _mappings(value: object) -> list[dict[str, Any]] | None:
    """A list of mappings; None where it is anything else."""
    return value if isinstance(value, list) and all(isinstance(item, dict) for item in value) else None


def planned_cells(grid: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The cells that a grid.json plans, as resolved and with their labels, by their ids."""
    variants = {variant["variant_id"]: variant for variant in grid["variants"]}
    return {cell["cell_id"]: {**variants[cell["variant_id"]], "seed": cell["seed"]} for cell in grid["cells"]}


def is_of(record: Record, planned: Mapping[str, Any]) -> bool:
    """Whether the record under a cell's id is of that cell as resolved today; no, where a default has changed.

    A field that the record lacks is younger than it, and at its default: the id, a hash of all that is not,
    would be another. A record that does not tell its cell is taken by its id.
    """
    recorded = record.get("cell") or {}
    return recorded.get("seed", planned["seed"]) == planned["seed"] and all(
        key in planned[section] and planned[section][key] == value
        for section in SECTIONS
        for key, value in recorded.get(section, {}).items()
    )


def _check_numbers(place: str, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if value is None:
            continue
        if name in _PLACES:
            raise DamagedFileError(f"has {place}.{name}, which is none")
        if name in ("dead_maps", "lost_classes"):
            _check_classes(f"{place}.{name}", value)
            continue
        if name == "confusion":
            _check_confusion(f"{place}.{name}", value)
            continue
        if type(value) not in _NUMBERS:
            raise DamagedFileError(f"has {shown(value)} as {place}.{name}, which is no number")
        if type(value) is not int and name.startswith("num_"):
            raise DamagedFileError(f"has {shown(value)} as {place}.{name}, which is no count")
        if not 0 <= value <= (1 if name.endswith("accuracy") else _LARGEST):
            raise DamagedFileError(f"has {shown(value)} as {place}.{name}, which nobody measured")


def _check_classes(place: str, value: object) -> None:
    """See that it lists classes, in order."""
    found = value if isinstance(value, list) and all(type(item) is int for item in value) else None
    if found is None or found != sorted(set(found)) or not all(0 <= item < _MAX_CLASSES for item in found):
        raise DamagedFileError(f"has {shown(value)} as {place}, which lists no classes")


def _check_confusion(place: str, value: object) -> None:
    """See that it lists true class, predicted class and count, in order."""
    rows = value if isinstance(value, list) else [None]
    is_one = all(isinstance(row, list) and len(row) == 3 and {*map(type, row)} == {int} for row in rows)
    if (
        not is_one
        or rows != sorted(rows)
        or not all(
            0 <= true < _MAX_CLASSES and 0 <= guess < _MAX_CLASSES and 0 < count < _LARGEST
            for true, guess, count in rows
        )
    ):
        raise DamagedFileError(f"has {shown(value)} as {place}, which counts no classes")


def pack_predictions(predictions: Mapping[str, npt.NDArray[Any]], cell_id: str) -> bytes:
    """The content of a predictions file, which says of which cell it is."""
    buffer = io.BytesIO()
    about = {"schema": np.array(SCHEMA), "cell_id": np.array(cell_id)}
    np.savez_compressed(buffer, allow_pickle=False, **predictions, **about)
    return buffer.getvalue()


def unpack_predictions(content: bytes, cell_id: str) -> Predictions:
    """The arrays in a predictions file; nothing in it is unpickled.

    Raises:
        DamagedFileError: torn, of another schema or cell, or not what a run writes; it carries the reason.
        MemoryError: there was none left; no file asks for more than it unpacks to, so this one is not to blame.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MAX_UNPACKED_BYTES:
                raise DamagedFileError(f"unpacks to more than {_MAX_UNPACKED_BYTES:,} bytes")
            for member in archive.infolist():
                _check_member(archive, member)
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            found = {name: np.asarray(arrays[name]) for name in arrays.files}
    except (DamagedFileError, MemoryError, OSError):
        raise
    except Exception as error:  # whatever zlib, zipfile and NumPy make of bytes that mean harm
        raise DamagedFileError(f"is no whole archive of arrays ({' '.join(str(error).split())})") from error
    schema, of_cell = found.pop("schema", np.array(SCHEMA)), found.pop("cell_id", np.array(cell_id))
    if schema.tolist() != SCHEMA:
        raise DamagedFileError(f"is of schema {shown(schema.tolist())}; this version reads {SCHEMA}")
    if of_cell.tolist() != cell_id:
        raise DamagedFileError(f"holds the predictions of another cell, {shown(of_cell.tolist())}")
    if "predicted" in found:  # files from before there was `credit`: where logits tied, nothing was predicted
        found.setdefault("credit", (found["predicted"] >= 0).astype(np.float32))
    if {name: array.dtype.kind for name, array in found.items()} != _KINDS:
        raise DamagedFileError(f"holds other arrays than {', '.join(_KINDS)}")
    if len({array.shape for array in found.values()}) != 1 or found["label"].ndim != 1:
        raise DamagedFileError("holds arrays that are not of one length")
    if not all(((found[name] >= 0) & (found[name] <= 1)).all() for name in ("probability", "credit")):
        raise DamagedFileError("holds probabilities outside 0 to 1")
    if not len(found["label"]):
        raise DamagedFileError("holds no prediction")
    return found


def _check_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Refuse an array that would take more memory than there are bytes of it, before anything is set apart for it.

    Raises:
        DamagedFileError: its header claims more than the member holds, or it is packed in another way than ours.
        ValueError: it has no header as NumPy writes them.
    """
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # LZMA sets apart what it is told
        raise DamagedFileError("is packed as no run packs it")
    with archive.open(member) as stream:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise DamagedFileError("holds an array of another format than 1.0")
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=_MAX_HEADER_BYTES)
        if math.prod(shape) * dtype.itemsize > member.file_size - stream.tell():
            raise DamagedFileError("holds an array that claims more values than there are")


def check_predictions(predictions: Predictions, record: Mapping[str, Any]) -> None:
    """See that predictions are those that a record was made from.

    Raises:
        DamagedFileError: their accuracy is not the record's.
    """
    recorded = record["metrics"].get("test_accuracy")
    right = (predictions["predicted"] == predictions["label"]) * predictions["credit"]
    found = float(right.mean(dtype=np.float64))
    if found != recorded:
        raise DamagedFileError(f"has an accuracy of {found:g}, and its record one of {shown(recorded)}")
