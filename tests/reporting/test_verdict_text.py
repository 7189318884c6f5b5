"""How verdicts read: a handful of whole ones."""

from pathlib import Path
from typing import Any

from nin_bench.analysis.names import Names
from nin_bench.analysis.verdicts import judge
from nin_bench.reporting.verdict_text import VerdictText, shares_of
from nin_bench.results import load_results
from tests.costs_fixture import CPU, cost_entry, rounds, write_costs
from tests.report_fixture import COLLAPSED, metrics, record, write_results

A, B = "nin pointwise=2", "nin pointwise=1"
HIGH, LOW = [0.912, 0.914, 0.909, 0.915, 0.910, 0.913], [0.890, 0.894, 0.885, 0.893, 0.888, 0.890]


def claim(**changes: Any) -> dict[str, Any]:
    return {
        "id": "better", "claim": "A is better.", "primary": True, "metric": "test_accuracy", "compare": [A, B],
        "expect": "greater", "margin": 0.01, "factor": None, **changes,
    }  # fmt: skip


def trained(accuracies: list[float], **others: Any) -> list[dict[str, Any] | None]:
    return [record(metrics=metrics(accuracy, **others)) for accuracy in accuracies]


def text(folder: Path, a: list[Any], b: list[Any], **changes: Any) -> VerdictText:
    write_results(folder, {A: a, B: b}, hypotheses=[claim(**changes)], machine=CPU)
    return described(folder)


def described(folder: Path) -> VerdictText:
    results = load_results(folder)
    [verdict] = judge(results)
    return VerdictText(verdict, Names.of(results.grid.variants))


def test_a_supported_claim(tmp_path: Path) -> None:
    found = text(tmp_path / "r", trained(HIGH), trained(LOW))
    assert found.headline == "pointwise=2 has 2.20 points more test accuracy than pointwise=1."
    assert (found.compared, found.claimed) == ("test accuracy: pointwise=2 − pointwise=1", "above 1 point")
    assert (found.effect, found.interval) == ("+2.20 points", "+2.00 to +2.40 (95 %)")
    assert (found.rests_on, list(found.remarks())) == ("6, signed-rank", [])


def test_no_better_is_not_worse(tmp_path: Path) -> None:
    refuted = text(tmp_path / "r", trained(HIGH), trained(LOW), margin=0.03)
    assert refuted.headline == (
        "pointwise=2 does not have 3 points more test accuracy than pointwise=1: "
        "the difference is between +2.00 and +2.40 points."
    )
    alike = text(tmp_path / "alike", trained(HIGH), trained(LOW), expect="equivalent", margin=0.03)
    assert alike.headline == "pointwise=2 and pointwise=1 differ by less than 3 points in test accuracy."


def test_an_open_claim_says_what_fits(tmp_path: Path) -> None:
    found = text(tmp_path / "r", trained(HIGH), trained(LOW), margin=0.021)
    assert found.headline == "The difference in test accuracy is between +2.00 and +2.40 points."
    five = text(tmp_path / "five", trained(HIGH[:5]), trained(LOW[:5]))
    assert five.headline == "5 seeds can decide nothing at a level of 5 %; it takes 6."


def test_failures_stand_beside_a_verdict(tmp_path: Path) -> None:
    failed = record(metrics=metrics(0.1, **COLLAPSED))
    found = text(tmp_path / "r", [*trained(HIGH), *trained([0.912] * 12)], [*trained([0.89] * 15), *[failed] * 3])
    assert (shares_of(found.verdict.failed), shares_of(found.verdict.lost_classes)) == ("0 / 3", "0 / 3")
    assert found.rests_on == "18, sign"


def test_counts_and_costs(tmp_path: Path) -> None:
    a, b = trained([0.9], num_params=1_992_166), trained([0.9], num_params=46_764_746)
    counted = text(tmp_path / "r", a, b, metric="num_params", expect="less", margin=None, factor=20.0)
    assert counted.headline == "pointwise=2 has 0.0426 times the parameters of pointwise=1."
    assert (counted.counts, counted.claimed) == (("1,992,166", "46,764,746"), "below ×1/20")
    folder = tmp_path / "costs"
    write_results(folder, {A: [None], B: [None]}, machine=CPU,
                  hypotheses=[claim(metric="train_images_per_second", margin=None, factor=1.5)])  # fmt: skip
    for variant, speed in [("v00", 300.0), ("v01", 100.0)]:
        samples = rounds(*(speed * by for by in (1, 1.1, 0.9, 1, 1.2, 1)))
        write_costs(folder, variant, cost_entry(train={**cost_entry()["train"], "images_per_second": samples}))
    found = described(folder)
    assert found.headline == "pointwise=2 has 3 times the training throughput of pointwise=1 on this machine."
    assert found.rests_on == "6 rounds, signed-rank"


def test_a_claim_over_an_axis_names_no_value_but_those_that_came_out_otherwise() -> None:
    results = load_results(Path(__file__).parents[2] / "results" / "reference" / "datasize" / "cpu")
    names = Names.of(results.grid.variants)
    found = {verdict.id: VerdictText(verdict, names) for verdict in judge(results)}
    over = found["no-better-than-alexnet"]
    assert over.compared == "test accuracy: nin − alexnet, on average over train_size"
    assert over.headline == (
        "nin has 0.90 points less test accuracy than alexnet, on average over train_size. "
        "At train_size 1500 alone: undecided."
    )
    assert found["nin-gains-with-images"].headline == (
        "The difference between the two differences in test accuracy is between −1.20 and −0.20 points."
    )


def test_remarks_say_what_to_bear_in_mind(tmp_path: Path) -> None:
    b = trained(LOW)
    b[2] = record("crashed")
    found = text(tmp_path / "r", trained(HIGH), b, metric="generalisation_gap")
    assert list(found.remarks()) == [
        "A smaller gap can also mean that the network learned less; compare the accuracies.",
        "An early look: some planned cells have not ended.",
        "Missing: seed 2 of nin pointwise=1 (crashed).",
    ]
