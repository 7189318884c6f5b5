"""Claims about differences of differences, over an axis, and about kinds of one variant's layers."""

from pathlib import Path
from typing import Any

import pytest

from nin_bench.analysis.names import Names
from nin_bench.analysis.verdicts import Verdict, judge
from nin_bench.reporting.verdict_text import VerdictText
from nin_bench.results import load_results
from tests.costs_fixture import CPU, cost_entry, rounds, write_costs
from tests.report_fixture import COLLAPSED, locked, metrics, record, write_results

BASE = [0.900, 0.904, 0.896, 0.902, 0.898, 0.901, 0.899, 0.903]


def claim(**changes: Any) -> dict[str, Any]:
    return {
        "id": "c", "claim": "It is so.", "primary": True, "metric": "test_accuracy", "compare": ["a", "b"],
        "expect": "greater", "margin": 0.01, "factor": None, **changes,
    }  # fmt: skip


def cells(shift: float, seeds: int = 8) -> list[dict[str, Any] | None]:
    return [record(metrics=metrics(round(accuracy + shift, 4))) for accuracy in BASE[:seeds]]


def judged(folder: Path, variants: dict[str, list[Any]], *claims: dict[str, Any], **grid: Any) -> list[Verdict]:
    return judge(load_results(write_results(folder, variants, hypotheses=list(claims), **grid)))


def words(folder: Path) -> VerdictText:
    results = load_results(folder)
    return VerdictText(judge(results)[0], Names.of(results.grid.variants))


SQUARE = {"a": cells(0.05), "b": cells(0.01), "c": cells(0.02), "d": cells(0.0)}
"""a − b is .04, c − d is .02."""


def test_an_interaction_is_a_difference_of_differences(tmp_path: Path) -> None:
    [more] = judged(tmp_path / "r", SQUARE, claim(minus=["c", "d"]))
    assert (more.verdict, more.test, more.n) == ("supported", "signed-rank", 8)
    assert (more.effect, more.interval) == (pytest.approx(0.02), pytest.approx((0.02, 0.02)))
    assert (more.minus, more.failed) == (("c", "d"), None)
    assert words(tmp_path / "r").compared == "test accuracy: (a − b) − (c − d)"
    failing = {**SQUARE, "d": [record(metrics=metrics(0.1, **COLLAPSED)), *cells(0.0)[1:]]}
    [still] = judged(tmp_path / "failing", failing, claim(minus=["c", "d"]))
    # seven of eight agree, and the sign test cuts none off at 5 %: the interval has the failure in it
    assert (still.test, still.effect, still.verdict) == ("sign", pytest.approx(0.02), "undecided")
    assert still.interval == (pytest.approx(0.04 - 0.82), pytest.approx(0.02))


def test_only_seeds_at_which_all_four_were_trained_count(tmp_path: Path) -> None:
    variants = {**SQUARE, "d": [None, *cells(0.0)[1:]]}
    [verdict] = judged(tmp_path / "r", variants, claim(minus=["c", "d"]))
    assert (verdict.n, verdict.pairs, [cell.label for cell in verdict.missing]) == (
        7,
        [1, 2, 3, 4, 5, 6, 7],
        ["d"],
    )


OVER = claim(
    over="data.train_size",
    points=[
        {"value": 1500, "compare": ["a", "b"], "minus": None},
        {"value": 6000, "compare": ["c", "d"], "minus": None},
    ],
)


def test_over_an_axis_a_claim_is_judged_for_each_value_and_for_their_mean(tmp_path: Path) -> None:
    [verdict] = judged(tmp_path / "r", SQUARE, {**OVER, "margin": 0.025})
    assert (verdict.verdict, verdict.effect, verdict.n) == ("supported", pytest.approx(0.03), 8)
    assert [(point.value, point.verdict, point.effect) for point in verdict.points] == [
        (1500, "supported", pytest.approx(0.04)), (6000, "refuted", pytest.approx(0.02)),
    ]  # fmt: skip
    assert [point.level for point in verdict.points] == [0.025, 0.025]
    text = words(tmp_path / "r")
    assert text.compared == "test accuracy: a − b, on average over train_size"
    assert text.points is not None
    assert text.points.startswith("By train_size, intervals of 97.5 %: 1500: supported, +4.")


def test_a_claim_over_other_values_is_another_claim(tmp_path: Path) -> None:
    fewer = {**OVER, "points": OVER["points"][:1]}
    lock = locked([*range(8)], [OVER])
    assert [one.post_hoc for one in judged(tmp_path / "same", SQUARE, OVER, lock=lock)] == [False]
    assert [one.post_hoc for one in judged(tmp_path / "other", SQUARE, fewer, lock=lock)] == [True]


def test_kinds_of_layers_are_compared_by_their_shares(tmp_path: Path) -> None:
    macs = claim(
        compare=["a", "a"], kinds=["pointwise", "convolution"], metric="num_macs", expect="less", margin=0.1
    )
    ratio = {**macs, "id": "ratio", "margin": None, "factor": 2.0}
    time = {**macs, "id": "time", "metric": "train_seconds", "margin": 0.2}
    folder = write_results(tmp_path / "r", {"a": [None]}, hypotheses=[macs, ratio, time], machine=CPU)
    seconds = {
        "with_backward": True,
        **{name: rounds(*values) for name, values in {
            "convolution": [0.6, 0.62, 0.58, 0.6, 0.61, 0.6], "pointwise": [0.2, 0.19, 0.21, 0.2, 0.2, 0.2],
            "dense": [0.1] * 6, "other": [0.1] * 6,
        }.items()},
    }  # fmt: skip
    write_costs(folder, "v00", cost_entry(kind_seconds=seconds))
    by_margin, by_factor, by_time = judge(load_results(folder))
    # of 50,000 MACs 30,000 are in convolutions and 19,000 in 1×1 layers
    assert (by_margin.verdict, by_margin.effect, by_margin.values) == (
        "supported", pytest.approx(-0.22), pytest.approx((0.38, 0.6))
    )  # fmt: skip
    assert (by_margin.n, by_margin.unit, by_margin.test) == (None, "share", "counts")
    assert (by_factor.verdict, by_factor.effect) == ("refuted", pytest.approx(19 / 30))
    assert (by_time.verdict, by_time.n, by_time.by_round, by_time.test) == ("supported", 6, True, "signed-rank")
    assert by_time.effect == pytest.approx(-0.4, abs=0.005)
    assert (by_margin.family_size, by_time.family_size) == (1, 1)  # counts take no share of the level
    text = words(folder)
    assert text.headline == (
        "a's 1×1 convolutions have a smaller share of the MACs per image, by 22.0 points, "
        "than its spatial convolutions."
    )
    assert text.compared == "a, share of the MACs per image: 1×1 convolutions − spatial convolutions"
    assert (text.counts, text.effect, text.claimed) == (("38 %", "60 %"), "−22.0 points", "below −10 points")


def test_without_layer_timings_time_by_kind_is_not_testable(tmp_path: Path) -> None:
    time = claim(compare=["a", "a"], kinds=["pointwise", "dense"], metric="train_seconds", margin=0.2)
    folder = write_results(tmp_path / "r", {"a": [None]}, hypotheses=[time], machine=CPU)
    [unmeasured] = judge(load_results(folder))
    assert (unmeasured.verdict, unmeasured.reason) == ("not testable", "no costs of a were measured")
    write_costs(folder, "v00", cost_entry(kind_seconds=None))
    [untimed] = judge(load_results(folder))
    assert untimed.reason == "layers of a were not timed in rounds"
