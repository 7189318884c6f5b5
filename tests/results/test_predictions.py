import io
import pickle
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nin_bench.files import DamagedFileError
from nin_bench.results.predictions import check_predictions, pack_predictions, unpack_predictions
from nin_bench.results.records import MAX_CLASSES
from nin_bench.runner.record import make_record
from tests.cells import make_cell


def predictions(**changes: Any) -> dict[str, Any]:
    return {
        "predicted": np.array([-1, 3, 1, 1], np.int16),
        "credit": np.array([0, 1, 1, 0.5], np.float32),
        "probability": np.array([0.1, 0.8, 1.0, 0.5], np.float32),
        "label": np.array([3, 3, 1, 0], np.int16),
        **changes,
    }


def packed(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def archive(write: Callable[[zipfile.ZipFile], None]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        write(opened)
    return buffer.getvalue()


def a_member_that_unpacks_to_too_much(opened: zipfile.ZipFile) -> None:
    with opened.open("label.npy", "w", force_zip64=True) as member:
        for _ in range(257):
            member.write(b"\x00" * 2**20)


def a_header_that_claims_a_terabyte(opened: zipfile.ZipFile) -> None:
    header = b"{'descr': '<i2', 'fortran_order': False, 'shape': (549755813888,), }"
    opened.writestr("label.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)


def a_header_without_end(opened: zipfile.ZipFile) -> None:
    header = b"-" * 9000 + b"1"  # deep enough for Python's parser to say that it has no memory left
    opened.writestr("label.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)


def a_member_of_another_packer(opened: zipfile.ZipFile) -> None:
    opened.writestr("label.npy", b"x", zipfile.ZIP_LZMA)


def an_array_of_a_later_format(opened: zipfile.ZipFile) -> None:
    with opened.open("label.npy", "w") as member:
        np.lib.format.write_array(member, predictions()["label"], version=(2, 0))


class Planted:
    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('a pickle was loaded')",)


def test_predictions_come_back():
    found = unpack_predictions(pack_predictions(predictions(), "c0"), "c0")
    assert {name: (array.dtype, array.tolist()) for name, array in found.items()} == {
        name: (array.dtype, array.tolist()) for name, array in predictions().items()
    }


def test_a_class_may_have_any_number_that_a_record_may_hold():
    many = predictions(
        predicted=np.full(4, MAX_CLASSES - 1, np.int16), label=np.full(4, MAX_CLASSES - 1, np.int16)
    )
    found = unpack_predictions(pack_predictions(many, "c0"), "c0")
    assert found["predicted"].tolist() == found["label"].tolist() == [32_767] * 4


def test_predictions_from_before_they_named_their_cell_are_read():
    assert set(unpack_predictions(packed(**predictions()), "c0")) == {
        "predicted",
        "credit",
        "probability",
        "label",
    }


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is no whole archive of arrays (File is not a zip file)"),
        (b"PK\x03\x04", "is no whole archive of arrays"),
        (pickle.dumps(Planted()), "is no whole archive of arrays"),
        (packed(**predictions(label=np.array([Planted()] * 4))), "is no whole archive of arrays (Object arrays"),
        (pack_predictions(predictions(), "c0")[:-30], "is no whole archive of arrays"),
        (pack_predictions(predictions(), "c1"), "holds the predictions of another cell, 'c1'"),
        (packed(**predictions(), schema=np.array(7)), "is of schema 7; this version reads 2"),
        (packed(**predictions(), schema=np.array([[1]])), "is of schema a list; this version reads 2"),
        (packed(label=np.array([1])), "holds other arrays than predicted, credit, probability, label"),
        (packed(**predictions(), logits=np.array([1.0])), "holds other arrays than"),
        (packed(**predictions(label=np.array(["3"] * 4))), "holds other arrays than"),
        (packed(**predictions(label=np.array([3, 3], np.int16))), "holds arrays that are not of one length"),
        (packed(**{name: array[None] for name, array in predictions().items()}), "holds arrays that are not of"),
        (packed(**predictions(probability=np.array([0.1, np.nan, 1, 1]))), "holds probabilities outside 0 to 1"),
        (packed(**predictions(probability=np.array([0.1, 1.5, 1, 1]))), "holds probabilities outside 0 to 1"),
        (archive(a_member_that_unpacks_to_too_much), "unpacks to more than 268,435,456 bytes"),
        (archive(a_header_that_claims_a_terabyte), "holds an array that claims more values than there are"),
        (archive(a_header_without_end), "is no whole archive of arrays (Header info length"),
        (archive(a_member_of_another_packer), "is packed as no run packs it"),
        (archive(an_array_of_a_later_format), "holds an array of another format than 1.0"),
        (archive(lambda opened: opened.writestr("../../label.npy", b"x")), "is no whole archive of arrays"),
        (archive(lambda opened: opened.writestr("schema", b"1")), "is no whole archive of arrays"),
        (packed(**{name: array[:0] for name, array in predictions().items()}), "holds no prediction"),
    ],
    ids=range(23),
)  # fmt: skip
def test_predictions_that_no_run_writes_are_damaged(content, reason):
    with pytest.raises(DamagedFileError) as damage:
        unpack_predictions(content, "c0")
    assert str(damage.value).startswith(reason)
    assert "\n" not in str(damage.value)


def test_predictions_belong_to_the_record_with_their_accuracy():
    found = predictions()  # two of four are right, one of them alone
    for metrics, reason in (
        ({"test_accuracy": 0.5}, None),
        ({"test_accuracy": 0.25}, "has an accuracy of 0.5, and its record one of 0.25"),
        ({}, "has an accuracy of 0.5, and its record one of null"),
    ):
        record = make_record(make_cell(), "trained", started_at="", metrics=metrics)
        if reason is None:
            check_predictions(found, record)
            continue
        with pytest.raises(DamagedFileError) as damage:
            check_predictions(found, record)
        assert str(damage.value) == reason


def test_memory_that_runs_out_is_no_damage(monkeypatch):
    def refuse(*arguments: Any, **options: Any) -> None:
        raise MemoryError

    content = pack_predictions(predictions(), "c0")
    monkeypatch.setattr(np, "load", refuse)
    with pytest.raises(MemoryError):
        unpack_predictions(content, "c0")
