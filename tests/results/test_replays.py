from typing import Any

import numpy as np
import pytest

from nin_bench.results.records import Devices, Record
from nin_bench.results.replays import ACCURACY_TOLERANCE, Replays, compare_replay

HERE = {"processor": "a processor", "software": {"torch": "2.14"}, "variables": {}, "device": "cpu", "torch": {}}


def record(*, accuracy: float = 0.5, loss: float = 0.25, outcome: str = "trained", **environment: Any) -> Record:
    return Record.model_validate({
        "cell_id": "c1", "variant_id": "v1", "label": "mlp", "outcome": outcome,
        "cell": {"model": {"name": "mlp", "revision": 1}, "data": {"name": "digits"}, "recipe": {}, "seed": 3},
        "attempts": [{"outcome": outcome}],
        "metrics": {"num_params": 7, "test_accuracy": accuracy, "train_seconds": float(np.random.rand())},
        "history": [{"epoch": 1, "train_loss": loss, "train_accuracy": 0.5, "lr": 0.1, "seconds": 1.0}],
        "environment": {**HERE, "commit": "0" * 40, **environment},
    })  # fmt: skip


PREDICTIONS = {"predicted": np.array([1, 2, 3]), "credit": np.array([1.0, 1.0, 0.5])}


def compare(recorded: Record, again: Record, **options: Any):
    return compare_replay(recorded, again, PREDICTIONS, options.get("predictions", PREDICTIONS), "now")


def test_what_repeats_is_equal_but_for_times_and_commits():
    cell = compare(record(), record(commit="1" * 40, memory_bytes=5))
    assert (cell.cell_id, cell.label, cell.seed) == ("c1", "mlp", 3)
    assert (cell.expected, cell.repeated, cell.differences, cell.differs_in) == ("equal bits", True, (), ())


@pytest.mark.parametrize(
    ("again", "what"),
    [
        (record(accuracy=0.5 + 1e-16 * 10), "metrics.test_accuracy"),
        (record(loss=0.2500001), "history.1.train_loss"),
        (record(outcome="diverged"), "outcome"),
    ],
)
def test_on_the_same_machine_the_last_bit_counts(again, what):
    cell = compare(record(), again)
    assert not cell.repeated
    assert what in [one.what for one in cell.differences]


def test_predictions_count_image_by_image():
    other = {**PREDICTIONS, "credit": np.array([1.0, 0.5, 0.25])}
    (difference,) = compare(record(), record(), predictions=other).differences
    assert (difference.what, difference.again) == ("predictions.credit", "2 of them differ")


@pytest.mark.parametrize(
    ("again", "repeated"),
    [
        (record(accuracy=0.5 + 0.9 * ACCURACY_TOLERANCE, processor="another"), True),
        (record(accuracy=0.5 - 1.1 * ACCURACY_TOLERANCE, processor="another"), False),
        (record(outcome="diverged", variables={"ONEDNN_MAX_CPU_ISA": "AVX2"}), False),
        (record(software={"torch": "2.15"}), True),
    ],
)
def test_elsewhere_accuracies_have_to_be_near(again, repeated):
    cell = compare(record(), again)
    assert (cell.expected, cell.repeated) == ("tolerance", repeated)
    assert len(cell.differs_in) == 1


def test_a_later_replay_of_a_cell_takes_the_place_of_an_earlier_one(tmp_path):

    first = compare(record(), record())
    second = compare(record(), record(loss=0.3))
    third = first.model_copy(update={"cell_id": "c2"})
    replays = Replays(cells=(first,)).with_cells([third]).with_cells([second])
    assert [(cell.cell_id, cell.repeated) for cell in replays.cells] == [("c1", False), ("c2", True)]
    replays.write(tmp_path / "replay.json")
    assert Replays.read(tmp_path / "replay.json") == replays


def test_what_several_devices_trained_has_to_be_near():
    shared = record(accuracy=0.52).model_copy(update={"devices": Devices(count=2)})
    cell = compare(shared, record())
    assert (cell.expected, cell.repeated, cell.differs_in) == ("tolerance", True, ("devices",))


def test_what_was_trained_as_one_batched_model_has_to_be_near():
    batched = record(accuracy=0.52).model_copy(update={"batched_seeds": 4})
    cell = compare(batched, record())
    assert (cell.expected, cell.repeated, cell.differs_in) == ("tolerance", True, ("batched_seeds",))
