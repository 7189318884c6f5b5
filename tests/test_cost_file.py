from typing import Any

import pytest
from costs_fixture import cost_entry, layer

from nin_bench.cost_file import COST_SAMPLES, check_costs, cost_row, cost_samples, distribution, with_entry
from nin_bench.files import DamagedFileError
from nin_bench.metrics import METRICS


def entry(fingerprint: str = "a", num_rounds: int = 3, **parts: Any) -> dict[str, Any]:
    """As a machine without an energy counter, and with one worker, writes it."""
    speed = {"images_per_second": distribution([30.0, 10.0, 20.0]), "busy_images_per_second": None}
    usual = cost_entry()
    return {
        **usual,
        "machine": {"fingerprint": fingerprint, "device": "cpu"},
        "measured_at": "2026-01-02T03:04:05+00:00",
        "setting": {**usual["setting"], "num_rounds": num_rounds},
        "num_params": {**usual["num_params"], "total": 7},
        "num_macs": {**usual["num_macs"], "total": 70},
        "memory_bytes": {**usual["memory_bytes"], "train_peak": 4096},
        "train": {**usual["train"], **speed},
        "predict": speed,
        "latency_seconds": {
            "p50": 0.2, "p95": 0.6, "p99": 0.8, "samples": [[0.1, 0.3, 0.2], [0.4, 0.6, 0.5], [0.2, 0.2, 0.8]],
        },
        "mfu": None,
        **parts,
    }  # fmt: skip


def costs(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"schema": 1, "variant_id": "v", "label": "nin", "entries": list(entries)}


def test_median_and_quartiles_by_hand():
    # Sorted 1 2 4 8 16: the quartiles lie at places 1 and 3 of 0 to 4.
    assert distribution([16.0, 1.0, 8.0, 2.0, 4.0]) == {
        "median": 4.0, "quartiles": [2.0, 8.0], "samples": [16.0, 1.0, 8.0, 2.0, 4.0],
    }  # fmt: skip
    # Between places, linearly: 0.25 * 3 = 0.75 of the way from 1 to 2.
    assert distribution([1.0, 2.0, 3.0, 4.0])["quartiles"] == [1.75, 3.25]
    assert distribution([5.0]) == {"median": 5.0, "quartiles": [5.0, 5.0], "samples": [5.0]}


def test_what_an_entry_says_of_each_metric():
    known = entry()
    assert {name: cost_samples(known, name) for name in COST_SAMPLES} == {
        "train_images_per_second": [30.0, 10.0, 20.0],
        "predict_images_per_second": [30.0, 10.0, 20.0],
        "latency_p50_seconds": [0.2, 0.5, 0.2],
        "train_memory_bytes": [4096.0],
        "train_joules_per_image": None,
    }
    assert set(COST_SAMPLES) == {name for name, metric in METRICS.items() if metric.kind == "measured"}


def test_the_headline_of_an_entry_has_null_for_what_was_not_measured():
    assert cost_row(entry()) == {
        "measured_at": "2026-01-02T03:04:05+00:00", "num_rounds": 3, "error": None,
        "num_params": 7, "num_macs": 70,
        "train_images_per_second": 20.0, "predict_images_per_second": 20.0, "latency_p50_seconds": 0.2,
        "train_memory_bytes": 4096.0, "train_joules_per_image": None, "busy_train_images_per_second": None,
        "mfu": None,
    }  # fmt: skip
    failed = entry(
        num_rounds=0, error="out_of_memory: 1 TB", train=None, predict=None, latency_seconds=None,
        memory_bytes={"train_peak": None},
    )  # fmt: skip
    row = cost_row(failed)
    assert (row["error"], row["num_params"]) == ("out_of_memory: 1 TB", 7)
    assert {row[name] for name in COST_SAMPLES} == {None}


def test_a_machine_measures_anew_and_others_are_kept():
    ours, theirs, again = entry("a"), entry("b"), entry("a", num_macs={"total": 71})
    assert with_entry(None, ours) == [ours]
    assert with_entry(costs(ours), theirs) == [ours, theirs]
    assert with_entry(costs(ours, theirs), again) == [theirs, again]


def test_a_session_that_was_cut_short_costs_nothing_that_is_known():
    whole = entry(num_rounds=5)
    assert with_entry(costs(whole), entry(num_rounds=2)) == [whole]
    assert with_entry(costs(entry(num_rounds=2)), whole) == [whole]
    # Another machine's rounds say nothing of ours.
    assert len(with_entry(costs(whole), entry("b", num_rounds=1))) == 2


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        ({"variant_id": "w"}, "another variant, 'w'"),
        ({"entries": None}, r"\(entries: input should be a valid list\)"),
        (
            {"entries": [entry(machine={"fingerprint": 7, "device": "cpu"})]},
            r"\(entries.0.machine.fingerprint: ",
        ),
        ({"entries": [entry(setting={})]}, r"\(entries.0.setting.batch_size: field required\)"),
        (
            {"entries": [entry(latency_seconds={"p50": 1.0, "p95": 1.0, "p99": 1.0, "samples": [[]]})]},
            r"\(entries.0.latency_seconds.samples.0: ",
        ),
        ({"entries": [entry(train=[1])]}, r"\(entries.0.train: "),
        ({"entries": [entry(predict={"images_per_second": 3.0})]}, "images_per_second"),
        ({"entries": [entry(layers=[layer("dense1", "magic")])]}, r"\(entries.0.layers.0.kind: "),
        (
            {"entries": [entry(), entry(num_macs={"total": -1, "convolution": 0, "pointwise": 0, "dense": 0})]},
            r"\(entries.1.num_macs.total: ",
        ),
    ],
)
def test_a_file_that_is_not_what_its_place_says_is_refused(damaged, reason):
    check_costs(costs(entry()), "v")
    with pytest.raises(DamagedFileError, match=reason):
        check_costs({**costs(entry()), **damaged}, "v")
