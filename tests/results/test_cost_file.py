from typing import Any

import pytest
from costs_fixture import cost_entry, layer

from nin_bench.files import DamagedFileError
from nin_bench.results.cost_file import check_costs, with_entry


def entry(fingerprint: str = "a", num_rounds: int = 3, **parts: Any) -> dict[str, Any]:
    usual = cost_entry()
    return {
        **usual,
        "machine": {"fingerprint": fingerprint, "device": "cpu"},
        "setting": {**usual["setting"], "num_rounds": num_rounds},
        **parts,
    }


def costs(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"schema": 1, "variant_id": "v", "label": "nin", "entries": list(entries)}


def test_a_machine_measures_anew_and_others_are_kept():
    ours, theirs, again = entry("a"), entry("b"), entry("a", num_macs={"total": 71})
    assert with_entry(None, ours, is_whole=True) == [ours]
    assert with_entry(costs(ours), theirs, is_whole=True) == [ours, theirs]
    assert with_entry(costs(ours, theirs), again, is_whole=True) == [theirs, again]


def test_a_measuring_that_was_cut_short_costs_nothing_that_is_known():
    whole = entry(num_rounds=5)
    assert with_entry(costs(whole), entry(num_rounds=2), is_whole=False) == [whole]
    assert with_entry(costs(entry(num_rounds=2)), whole, is_whole=False) == [whole]
    # Another machine's rounds say nothing of ours.
    assert len(with_entry(costs(whole), entry("b", num_rounds=1), is_whole=False)) == 2
    # Who asked for fewer rounds, and has them, has measured anew.
    assert with_entry(costs(whole), entry(num_rounds=2), is_whole=True) == [entry(num_rounds=2)]


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
