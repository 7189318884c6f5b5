import io
import json
import pickle
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nin_bench.files import DamagedFileError
from nin_bench.results.stored import (
    check_grid,
    check_predictions,
    check_record,
    pack_predictions,
    unpack_predictions,
)

# grid.json

SPEC = {"model": {"name": "mlp"}, "data": {"name": "digits"}, "recipe": {"epochs": 2, "lr": [0.1, 0.2]}}


def grid(**changes: Any) -> dict[str, Any]:
    return {
        "name": "tiny", "profile": "full",
        "variants": [{"variant_id": "v0", "label": "mlp", **SPEC}],
        "cells": [{"cell_id": "c0", "variant_id": "v0", "label": "mlp", "seed": 0}],
        **changes,
    }  # fmt: skip


def cell(**changes: Any) -> list[dict[str, Any]]:
    return [{"cell_id": "c0", "variant_id": "v0", "label": "mlp", "seed": 0, **changes}]


def variant(**changes: Any) -> list[dict[str, Any]]:
    return [{"variant_id": "v0", "label": "mlp", **SPEC, **changes}]


def test_a_grid_as_a_run_writes_it_passes():
    check_grid(grid())
    check_grid(grid(lock={"seeds": [0]}, data={"name": "digits"}, recipe=SPEC["recipe"], anything_else=1))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": None}, "name: input should be a valid string"),
        ({"cells": {}}, "cells: input should be a valid list"),
        ({"cells": [1]}, "cells.0: input should be a valid dictionary"),
        ({"cells": cell(seed="0")}, "cells.0.seed: input should be a valid integer"),
        ({"cells": cell(seed=True)}, "cells.0.seed: input should be a valid integer"),
        ({"cells": cell(cell_id="../../grid")}, "cells.0.cell_id: string should match pattern"),
        ({"cells": cell(cell_id="a/b")}, "cells.0.cell_id: string should match pattern"),
        ({"cells": cell(cell_id="c0\n")}, "cells.0.cell_id: string should match pattern"),
        ({"cells": cell(cell_id="")}, "cells.0.cell_id: string should match pattern"),
        ({"cells": cell(cell_id="c" * 65)}, "cells.0.cell_id: string should match pattern"),
        ({"cells": cell(variant_id="v1")}, "cells: 'v1' is none of its variants"),
        ({"variants": variant(variant_id="..")}, "variants.0.variant_id: string should match pattern"),
        ({"variants": variant(label=7)}, "variants.0.label: input should be a valid string"),
        ({"variants": variant(recipe=None)}, "variants.0.recipe: input should be a valid dictionary"),
        ({"variants": variant(model={"name": {"a": 1}})}, "variants.0.model.name"),
        ({"variants": [{"variant_id": "v0", "label": "mlp"}]}, "variants.0.model: field required"),
        ({"recipe": []}, "recipe: input should be a valid dictionary"),
        ({"data": {"name": [["digits"]]}}, "data.name"),
        ({"machine": "mine"}, "machine: input should be a valid dictionary"),
        ({"lock": "locked"}, "lock: input should be a valid dictionary"),
    ],
)
def test_a_grid_that_no_run_writes_is_damaged(changes, reason):
    with pytest.raises(DamagedFileError) as damage:
        check_grid(grid(**changes))
    assert str(damage.value).startswith(f"is not as a run writes it ({reason}")


# Records


def record(**changes: Any) -> dict[str, Any]:
    return {
        "cell_id": "c0", "outcome": "trained", "attempts": [{"outcome": "trained", "error": None}],
        "cell": {**SPEC, "seed": 0}, "environment": {"cores": 2},
        "metrics": {"test_accuracy": 0.5, "healthy": True, "escape_epoch": None, "num_params": 2**40},
        "history": [{"epoch": 1, "train_loss": 0.5}, {"epoch": 2, "train_loss": None}],
        **changes,
    }  # fmt: skip


def test_a_record_as_a_run_writes_it_passes():
    check_record(record(), "c0")
    check_record(record(outcome="crashed", metrics={}, history=[], attempts=[{"error": "once"}, {}]), "c0")
    check_record(record(metrics={"test_accuracy": 1, "train_accuracy": 0.0}), "c0")
    check_record(record(metrics={"dead_maps": [0, 7]}, history=[{"epoch": 1, "dead_maps": []}]), "c0")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cell_id": "c1"}, "is the record of another cell, 'c1'"),
        ({"cell_id": None}, "is the record of another cell, null"),
        ({"cell_id": ["c0"]}, "is the record of another cell, a list"),
        ({"outcome": "fine"}, "has the outcome 'fine', which is none we know"),
        ({"outcome": []}, "has the outcome a list, which is none we know"),
        ({"metrics": None}, "lacks its metrics, its history or its attempts"),
        ({"metrics": [1]}, "lacks its metrics, its history or its attempts"),
        ({"history": {}}, "lacks its metrics, its history or its attempts"),
        ({"history": [[]]}, "lacks its metrics, its history or its attempts"),
        ({"attempts": []}, "lacks its metrics, its history or its attempts"),
        ({"attempts": "once"}, "lacks its metrics, its history or its attempts"),
        ({"attempts": [{"error": ["x"]}]}, "has a list as attempts[0].error, which is no text"),
        ({"attempts": [{}, {"seconds": {}}]}, "has a mapping as attempts[1].seconds, which is no number"),
        ({"attempts": [{"seconds": -3}]}, "has -3 as attempts[0].seconds, which nobody measured"),
        ({"cell": []}, "does not tell its cell"),
        ({"cell": {"recipe": 3}}, "does not tell its cell"),
        ({"environment": "a laptop"}, "does not tell its environment"),
        ({"metrics": {"test_loss": "low"}}, "has 'low' as metrics.test_loss, which is no number"),
        ({"metrics": {"test_loss": {}}}, "has a mapping as metrics.test_loss, which is no number"),
        ({"metrics": {"test_accuracy": 1.01}}, "has 1.01 as metrics.test_accuracy, which nobody measured"),
        ({"metrics": {"train_accuracy": -1}}, "has -1 as metrics.train_accuracy, which nobody measured"),
        ({"metrics": {"train_seconds": -0.1}}, "has -0.1 as metrics.train_seconds, which nobody measured"),
        ({"metrics": {"train_loss": 1e39}}, "has 1e+39 as metrics.train_loss, which nobody measured"),
        ({"metrics": {"num_params": 0.5}}, "has 0.5 as metrics.num_params, which is no count"),
        ({"metrics": {"num_params": True}}, "has true as metrics.num_params, which is no count"),
        ({"metrics": {"dead_maps": 3}}, "has 3 as metrics.dead_maps, which lists no classes"),
        ({"metrics": {"dead_maps": [3, 1]}}, "has a list as metrics.dead_maps, which lists no classes"),
        ({"metrics": {"dead_maps": [True]}}, "has a list as metrics.dead_maps, which lists no classes"),
        (
            {"history": [{"epoch": 1, "dead_maps": [-1]}]},
            "has a list as history[0].dead_maps, which lists no classes",
        ),
        ({"metrics": {"lost_classes": [3, 1]}}, "has a list as metrics.lost_classes, which lists no classes"),
        ({"metrics": {"confusion": 3}}, "has 3 as metrics.confusion, which counts no classes"),
        ({"metrics": {"confusion": [[1, 2]]}}, "has a list as metrics.confusion, which counts no classes"),
        ({"metrics": {"confusion": [[1, 2, -1]]}}, "has a list as metrics.confusion, which counts no classes"),
        (
            {"metrics": {"confusion": [[1, 2, 3], [0, 2, 3]]}},
            "has a list as metrics.confusion, which counts no classes",
        ),
        ({"metrics": {"dead_maps": [2**15]}}, "has a list as metrics.dead_maps, which lists no classes"),
        ({"metrics": {"label": 1}}, "has metrics.label, which is none"),
        ({"history": [{"epoch": 2}]}, "has epoch 2 in the place of epoch 1"),
        ({"history": [{"epoch": 1}, {"epoch": 1}]}, "has epoch 1 in the place of epoch 2"),
        ({"history": [{"loss": 1}]}, "has epoch null in the place of epoch 1"),
        ({"history": [{"epoch": 1, "lr": []}]}, "has a list as history[0].lr, which is no number"),
        ({"history": [{"epoch": 1, "seed": 3}]}, "has history[0].seed, which is none"),
    ],
)
def test_a_record_that_no_run_writes_is_damaged(changes, reason):
    with pytest.raises(DamagedFileError) as damage:
        check_record(record(**changes), "c0")
    assert str(damage.value) == reason


# Predictions


def predictions(**changes: Any) -> dict[str, Any]:
    return {
        "predicted": np.array([-1, 3, 1, 1], np.int16),
        "credit": np.array([0.0, 1.0, 1.0, 1.0], np.float32),
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


def test_predictions_from_before_they_named_their_cell_are_read():
    assert set(unpack_predictions(packed(**predictions()), "c0")) == set(predictions())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is no whole archive of arrays (File is not a zip file)"),
        (b"PK\x03\x04", "is no whole archive of arrays"),
        (pickle.dumps(Planted()), "is no whole archive of arrays"),
        (packed(**predictions(label=np.array([Planted()] * 4))), "is no whole archive of arrays (Object arrays"),
        (pack_predictions(predictions(), "c0")[:-30], "is no whole archive of arrays"),
        (pack_predictions(predictions(), "c1"), "holds the predictions of another cell, 'c1'"),
        (packed(**predictions(), schema=np.array(2)), "is of schema 2; this version reads 1"),
        (packed(**predictions(), schema=np.array([[1]])), "is of schema a list; this version reads 1"),
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
    found = predictions()  # two of four are right
    check_predictions(found, record())
    for metrics, reason in (
        ({"test_accuracy": 0.25}, "has an accuracy of 0.5, and its record one of 0.25"),
        ({}, "has an accuracy of 0.5, and its record one of null"),
    ):
        with pytest.raises(DamagedFileError) as damage:
            check_predictions(found, record(metrics=metrics))
        assert str(damage.value) == reason


def test_an_image_whose_logits_tie_counts_its_credit():
    found = predictions(credit=np.array([0.0, 0.5, 1.0, 0.1], np.float32))
    check_predictions(found, record(metrics={"test_accuracy": (0.5 + 1.0) / 4}))


def test_memory_that_runs_out_is_no_damage(monkeypatch):
    def refuse(*arguments: Any, **options: Any) -> None:
        raise MemoryError

    content = pack_predictions(predictions(), "c0")
    monkeypatch.setattr(np, "load", refuse)
    with pytest.raises(MemoryError):
        unpack_predictions(content, "c0")


def test_what_is_checked_is_what_json_can_hold():
    check_grid(json.loads(json.dumps(grid())))
    check_record(json.loads(json.dumps(record())), "c0")
