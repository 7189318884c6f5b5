"""A predictions file: what a network said of every test image.

Imports no torch, and NumPy only where arrays are read or written: reading records alone does not wait for it.

It may come from anybody: nothing in it is unpickled, and it is checked before anything is computed with it.
"""

import io
import math
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from nin_bench.errors import shown
from nin_bench.files import DamagedFileError, NewerFileError
from nin_bench.results.artefact import RUN_SCHEMA
from nin_bench.results.records import Record

if TYPE_CHECKING:
    import numpy.typing as npt

Predictions: TypeAlias = "dict[str, npt.NDArray[Any]]"
"""What was said of every test image, all of one length: `predicted` (-1 for none), `credit` (1 over the number of
classes that share the highest logit), `probability`, `label`."""

_KINDS = {"predicted": "i", "credit": "f", "probability": "f", "label": "i"}
_MAX_UNPACKED_BYTES = 256 * 2**20  # ten million test images
_MAX_HEADER_BYTES = 512
"""The most bytes of an array's header; a run's have 118. In thousands of bytes, brackets could exhaust the
parser's memory."""


def pack_predictions(predictions: "Mapping[str, npt.NDArray[Any]]", cell_id: str) -> bytes:
    """The content of a predictions file, which says of which cell it is."""
    import numpy as np

    buffer = io.BytesIO()
    about = {"schema": np.array(RUN_SCHEMA), "cell_id": np.array(cell_id)}
    np.savez_compressed(buffer, allow_pickle=False, **predictions, **about)
    return buffer.getvalue()


def unpack_predictions(content: bytes, cell_id: str) -> Predictions:
    """The arrays in a predictions file; nothing in it is unpickled.

    Raises:
        DamagedFileError: torn, of another schema or cell, or not what a run writes; it carries the reason.
        MemoryError: there was none left; no file asks for more than it unpacks to, so this one is not to blame.
    """
    import numpy as np

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
    schema, of_cell = found.pop("schema", np.array(RUN_SCHEMA)), found.pop("cell_id", np.array(cell_id))
    if schema.tolist() != RUN_SCHEMA:
        told = f"is of schema {shown(schema.tolist())}; this version reads {RUN_SCHEMA}"
        is_newer = type(schema.tolist()) is int and schema.tolist() > RUN_SCHEMA
        raise NewerFileError(told) if is_newer else DamagedFileError(told)
    if of_cell.tolist() != cell_id:
        raise DamagedFileError(f"holds the predictions of another cell, {shown(of_cell.tolist())}")
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
    """Refuse an array that would take more memory than there are bytes of it, before any is set apart for it."""
    import numpy as np

    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # LZMA sets apart what it is told
        raise DamagedFileError("is packed as no run packs it")
    with archive.open(member) as stream:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise DamagedFileError("holds an array of another format than 1.0")
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=_MAX_HEADER_BYTES)
        if math.prod(shape) * dtype.itemsize > member.file_size - stream.tell():
            raise DamagedFileError("holds an array that claims more values than there are")


def check_predictions(predictions: Predictions, record: Record) -> None:
    """See that predictions are those that a record was made from; DamagedFileError if their accuracy is not."""
    recorded = record.metrics.test_accuracy
    right = (predictions["predicted"] == predictions["label"]) * predictions["credit"]
    found = float(right.mean(dtype="float64"))
    if found != recorded:
        raise DamagedFileError(f"has an accuracy of {found:g}, and its record one of {shown(recorded)}")
