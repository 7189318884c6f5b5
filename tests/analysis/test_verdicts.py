import math
from pathlib import Path
from typing import Any

import pytest

from nin_bench.analysis.pairs import MissingCell
from nin_bench.analysis.verdicts import Verdict, judge
from nin_bench.looks import claim_digest
from nin_bench.results import load_results
from tests.costs_fixture import CPU, OTHER_CPU, around, cost_entry, rounds, write_costs
from tests.report_fixture import COLLAPSED, locked, metrics, record, write_results

A, B = "nin pointwise=2", "nin pointwise=1"
ACCURACIES_A = [0.912, 0.914, 0.909, 0.915, 0.910, 0.913]
ACCURACIES_B = [0.890, 0.894, 0.885, 0.893, 0.888, 0.890]  # A less B: .022 .020 .024 .022 .022 .023

Made = dict[str, Any] | None


def hypothesis(**changes: Any) -> dict[str, Any]:
    return {
        "id": "two-beats-one", "claim": "Two 1×1 layers classify better than one.", "primary": True,
        "metric": "test_accuracy", "compare": [A, B], "expect": "greater", "margin": 0.01, "factor": None,
        **changes,
    }  # fmt: skip


def trained(*accuracies: float, **others: Any) -> list[Made]:
    return [record(metrics=metrics(accuracy, **others)) for accuracy in accuracies]


def with_metric(name: str, *values: float) -> list[Made]:
    return [record(metrics=metrics(0.9, **{name: value})) for value in values]


def collapsed(count: int) -> list[Made]:
    return [record(metrics=metrics(0.1, **COLLAPSED)) for _ in range(count)]


def diverged(count: int) -> list[Made]:
    return [record("diverged", {"escaped": True, "chance_accuracy": 0.1}) for _ in range(count)]


def verdicts(
    folder: Path, a: list[Made], b: list[Made], *hypotheses: dict[str, Any], **grid: Any
) -> list[Verdict]:
    """Judge hypotheses that were locked as they are now, unless the grid says otherwise."""
    write_results(folder, {A: a, B: b}, **{"hypotheses": list(hypotheses), **grid})
    return judge(load_results(folder))


def test_a_clear_difference_supports_a_claim(tmp_path: Path) -> None:
    [verdict] = verdicts(tmp_path / "r", trained(*ACCURACIES_A), trained(*ACCURACIES_B), hypothesis())
    assert (verdict.id, verdict.verdict, verdict.n, verdict.test) == (
        "two-beats-one", "supported", 6, "signed-rank"
    )  # fmt: skip
    assert verdict.effect == pytest.approx(0.022)
    assert verdict.interval == (0.020, 0.024)  # six pairs: the whole range has 1 − 2/64
    assert (verdict.p_support, verdict.p_refute) == (1 / 64, 1)
    assert (verdict.level, verdict.family_size, verdict.trade_off) == (0.05, 1, False)
    assert (verdict.post_hoc, verdict.early, verdict.compare) == (False, False, (A, B))


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"margin": 0.0}, "supported"),
        ({"margin": 0.03}, "refuted"),
        ({"margin": 0.0225}, "undecided"),
        ({"margin": 0.02}, "undecided"),  # the interval touches it
        ({"expect": "less"}, "refuted"),
        ({"expect": "equivalent"}, "refuted"),
        ({"expect": "equivalent", "margin": 0.03}, "supported"),
        ({"margin": None, "factor": 1.5}, "refuted"),
    ],
)
def test_where_the_interval_lies_is_the_verdict(tmp_path: Path, changes: dict[str, Any], verdict: str) -> None:
    a, b = trained(*ACCURACIES_A), trained(*ACCURACIES_B)
    [found] = verdicts(tmp_path / "r", a, b, hypothesis(**changes))
    assert found.verdict == verdict


def test_five_seeds_decide_nothing(tmp_path: Path) -> None:
    [verdict] = verdicts(tmp_path / "r", trained(*ACCURACIES_A[:5]), trained(*ACCURACIES_B[:5]), hypothesis())
    assert (verdict.verdict, verdict.n, verdict.interval) == ("undecided", 5, None)
    assert verdict.effect == pytest.approx(0.022)


def test_a_ratio_is_judged_by_logarithms(tmp_path: Path) -> None:
    a, b = with_metric("test_loss", 0.40, 0.44, 0.36, 0.41, 0.40, 0.39), with_metric("test_loss", *[0.1] * 6)
    [verdict] = verdicts(tmp_path / "r", a, b, hypothesis(metric="test_loss", margin=None, factor=2.0))
    assert verdict.verdict == "supported"
    assert verdict.effect == pytest.approx(4.0, rel=0.01)
    assert verdict.interval == pytest.approx((3.6, 4.4))


@pytest.mark.parametrize(
    ("metric", "recorded"),
    [("train_seconds", "train_seconds"), ("peak_memory_bytes", "peak_memory_bytes")],
)
def test_what_was_seen_while_others_trained_decides_nothing(tmp_path: Path, metric: str, recorded: str) -> None:
    a, b = with_metric(recorded, 40.0, 44.0, 36.0), with_metric(recorded, 10.0, 11.0, 10.0)
    [verdict] = verdicts(tmp_path / "r", a, b, hypothesis(metric=metric, margin=None, factor=2.0))
    assert (verdict.verdict, verdict.effect, verdict.interval, verdict.n) == ("not testable", None, None, 0)
    assert verdict.reason is not None
    assert "was seen while cells trained side by side" in verdict.reason


def test_a_count_is_compared_without_a_test(tmp_path: Path) -> None:
    a, b = trained(0.9, num_params=1_992_166), trained(0.9, num_params=46_764_746)
    fewer = hypothesis(metric="num_params", expect="less", margin=None, factor=20.0)
    by_margin = hypothesis(id="margin", metric="num_params", expect="less", margin=45_000_000.0)
    accuracy = hypothesis(id="accuracy")
    found = verdicts(tmp_path / "r", a, b, fewer, by_margin, accuracy)
    assert [verdict.verdict for verdict in found] == ["supported", "refuted", "undecided"]
    assert found[0].effect == pytest.approx(1_992_166 / 46_764_746)
    assert (found[0].interval, found[0].test, found[0].values) == (None, "counts", (1_992_166, 46_764_746))
    assert found[1].effect == -44_772_580
    assert [verdict.n for verdict in found] == [None, None, 1]  # counts are exact, whatever the number of seeds
    assert found[2].family_size == 1  # counts are no part of the family


def test_primary_claims_share_a_level_and_the_others_have_their_own(tmp_path: Path) -> None:
    primary = [hypothesis(id=name, margin=margin) for name, margin in [("a", 0.0), ("b", 0.005), ("c", 0.0215)]]
    alone = hypothesis(id="alone", primary=False)
    a, b = trained(*ACCURACIES_A, 0.911, 0.912), trained(*ACCURACIES_B, 0.889, 0.890)
    found = verdicts(tmp_path / "r", a, b, *primary, alone)
    assert [verdict.level for verdict in found] == pytest.approx([0.05 / 3, 0.05 / 3, 0.05 / 3, 0.05])
    assert [verdict.family_size for verdict in found] == [3, 3, 3, 1]
    assert found[0].interval == found[2].interval  # one family, one interval
    assert [verdict.verdict for verdict in found] == ["supported", "supported", "undecided", "supported"]


def test_a_changed_hypothesis_is_post_hoc_and_a_withdrawn_one_still_counts(tmp_path: Path) -> None:
    lock = locked([*range(6)], [
        hypothesis(margin=0.02), hypothesis(id="reworded", claim="Two are better."), hypothesis(id="kept"),
        hypothesis(id="withdrawn"),
    ])  # fmt: skip
    a, b = trained(*ACCURACIES_A), trained(*ACCURACIES_B)
    now = [hypothesis(), hypothesis(id="reworded"), hypothesis(id="kept"), hypothesis(id="added")]
    found = verdicts(tmp_path / "r", a, b, *now, lock=lock)
    assert [verdict.post_hoc for verdict in found] == [True, True, False, True]
    # four were locked; three are post hoc
    assert [verdict.family_size for verdict in found] == [3, 3, 4, 3]


@pytest.mark.parametrize(
    "now",
    [
        [],
        [hypothesis(id="far", margin=0.0)],
        [hypothesis(id="far", margin=0.0, expect="less")],
        [hypothesis(id="far", margin=0.0, primary=False)],
        [hypothesis(id="far", margin=0.0, metric="num_params")],
        [hypothesis(id=f"added-{number}", primary=True, margin=0.0) for number in range(9)],
    ],
    ids=["withdrawn", "kept", "edited", "made secondary", "made a count", "others added"],
)
def test_nothing_done_after_the_run_changes_a_locked_verdict(tmp_path: Path, now: list[dict[str, Any]]) -> None:
    near, far = hypothesis(id="near", margin=0.02), hypothesis(id="far", margin=0.0)
    lock = locked([*range(6)], [near, far])
    found = verdicts(tmp_path / "r", trained(*ACCURACIES_A), trained(*ACCURACIES_B), near, *now, lock=lock)
    assert (found[0].id, found[0].post_hoc, found[0].family_size, found[0].level) == ("near", False, 2, 0.025)


def test_a_claim_locked_after_its_networks_were_trained_is_post_hoc(tmp_path: Path) -> None:
    old, new, late = hypothesis(id="old"), hypothesis(id="new"), hypothesis(id="late")
    earlier = locked([*range(6)], [old])
    lock = locked([*range(6)], [old, new, late], already_trained=["old", "late"])
    a, b = trained(*ACCURACIES_A), trained(*ACCURACIES_B)
    found = verdicts(tmp_path / "r", a, b, old, new, late, lock=lock, earlier_locks=[earlier])
    assert [verdict.post_hoc for verdict in found] == [False, False, True]


def test_a_label_may_change_while_its_variant_does_not(tmp_path: Path) -> None:
    by_other_labels = hypothesis(compare=["nin", "nin pointwise=1 head=gap"])
    lock = locked([0, 1], [by_other_labels], variants={"nin": "v00", "nin pointwise=1 head=gap": "v01"})
    a, b = trained(0.92, 0.93), trained(0.90, 0.90)
    [verdict] = verdicts(tmp_path / "same", a, b, hypothesis(), lock=lock)
    assert not verdict.post_hoc
    other_network = {**lock, "variants": {"nin": "v07", "nin pointwise=1 head=gap": "v01"}}
    [verdict] = verdicts(tmp_path / "other", a, b, hypothesis(), lock=other_network)
    assert verdict.post_hoc


def test_a_lock_that_was_tampered_with_locks_nothing(tmp_path: Path) -> None:
    lock = {**locked([0, 1], [hypothesis(margin=0.05)]), "hypotheses": [hypothesis()]}
    [verdict] = verdicts(tmp_path / "r", trained(0.92, 0.93), trained(0.90, 0.90), hypothesis(), lock=lock)
    assert verdict.post_hoc


def test_only_planned_seeds_count(tmp_path: Path) -> None:
    lock = locked([0, 1, 2], [hypothesis()])
    [verdict] = verdicts(tmp_path / "r", trained(*ACCURACIES_A), trained(*ACCURACIES_B), hypothesis(), lock=lock)
    assert (verdict.n, verdict.pairs, verdict.early, verdict.seeds_added) == (3, [0, 1, 2], False, [3, 4, 5])


def test_missing_and_crashed_cells_are_named_and_make_it_an_early_look(tmp_path: Path) -> None:
    a, b = trained(*ACCURACIES_A), trained(*ACCURACIES_B)
    a[1], b[3] = None, record("crashed", error="worker ended with signal 9")
    [verdict] = verdicts(tmp_path / "r", a, b, hypothesis())
    assert (verdict.n, verdict.early, verdict.pairs) == (4, True, [0, 2, 4, 5])
    assert verdict.missing == [MissingCell(A, 1, "missing"), MissingCell(B, 3, "crashed")]


@pytest.mark.parametrize(
    ("a", "changes", "reason"),
    [
        (trained(0.9), {"compare": [A, "vgg11"]}, "no cell of vgg11 was planned"),
        ([None], {}, "there is no seed at which all of its variants can be compared"),
        (trained(0.9, validation_accuracy=None), {"metric": "validation_accuracy"},
         "there is no seed at which all of its variants can be compared"),
        (trained(0.9, num_macs=None), {"metric": "num_macs"}, "num_macs is not known for all of its variants"),
        (trained(0.9, train_accuracy=0.8), {"metric": "generalisation_gap", "margin": None, "factor": 2.0},
         "a factor needs values above 0, and generalisation_gap has others"),
        (trained(0.9), {"metric": "escaped", "margin": None, "factor": 2.0},
         "shares of networks are compared by a margin, not by a factor"),
    ],
)  # fmt: skip
def test_what_cannot_be_tested_says_why(
    tmp_path: Path, a: list[Made], changes: dict[str, Any], reason: str
) -> None:
    [verdict] = verdicts(tmp_path / "r", a, trained(0.9), hypothesis(**changes))
    assert (verdict.verdict, verdict.effect, verdict.interval) == ("not testable", None, None)
    assert verdict.reason == reason


# Networks that failed


@pytest.mark.parametrize("failed", [collapsed(1), diverged(1)], ids=["collapsed", "diverged"])
def test_a_failed_network_counts_with_chance_accuracy_and_signs_judge(tmp_path: Path, failed: list[Made]) -> None:
    a, b = [*trained(*ACCURACIES_A), *trained(0.91, 0.91)], [*trained(*ACCURACIES_B), *failed, *trained(0.89)]
    [verdict] = verdicts(tmp_path / "r", a, b, hypothesis())
    assert (verdict.verdict, verdict.test, verdict.n) == ("supported", "sign", 8)
    assert verdict.effect == pytest.approx(0.022)  # the median
    assert verdict.interval == (0.020, pytest.approx(0.81))
    assert verdict.failed is not None
    assert (verdict.failed.counts, verdict.failed.n, verdict.failed.mcnemar_p) == ((0, 1), 8, 1)


def test_a_lost_class_or_a_wide_spread_calls_for_signs(tmp_path: Path) -> None:
    a, b = trained(*ACCURACIES_A), trained(*ACCURACIES_B)
    a_lost = [*trained(*ACCURACIES_A[:5]), *trained(ACCURACIES_A[5], num_lost_classes=1)]
    wide = trained(*ACCURACIES_A[:5], 0.96)
    tests = [verdicts(tmp_path / f"{number}", one, b, hypothesis())[0].test
             for number, one in enumerate((a, a_lost, wide))]  # fmt: skip
    assert tests == ["signed-rank", "sign", "sign"]


def test_a_diverged_network_has_an_infinite_loss(tmp_path: Path) -> None:
    a, b = [*trained(*[0.9] * 8, test_loss=0.2)], [*trained(*[0.9] * 2, test_loss=0.3), *diverged(6)]
    lower = hypothesis(metric="test_loss", expect="less", margin=0.05)
    [verdict] = verdicts(tmp_path / "r", a, b, lower)
    assert (verdict.verdict, verdict.effect) == ("supported", None)
    assert verdict.interval == (None, -0.1)
    assert verdict.ends == (-math.inf, -0.1)

    # A typical difference that is infinite itself is bounded on neither side.
    [verdict] = verdicts(tmp_path / "all", diverged(8), trained(*[0.9] * 8, test_loss=0.2), lower)
    assert (verdict.verdict, verdict.effect, verdict.interval) == ("refuted", None, None)


def test_a_network_that_diverged_at_once_has_not_escaped(tmp_path: Path) -> None:
    a = trained(*[0.9] * 8)
    b = [record("diverged", {"escaped": None, "chance_accuracy": 0.1}) for _ in range(8)]
    [verdict] = verdicts(tmp_path / "r", a, b, hypothesis(metric="escaped", expect="greater", margin=0.1))
    assert (verdict.n, verdict.effect, verdict.verdict) == (8, 1.0, "supported")


@pytest.mark.parametrize(("metric", "value"), [("generalisation_gap", 0.0), ("escape_epoch", None)])
def test_by_gap_and_time_to_escape_a_failed_network_is_worst(
    tmp_path: Path, metric: str, value: float | None
) -> None:
    # a network at chance has no gap at all, which is no merit
    a, b = trained(*[0.9] * 8, train_accuracy=0.93), collapsed(8)
    [verdict] = verdicts(tmp_path / "r", a, b, hypothesis(metric=metric, expect="less", margin=0.01))
    assert (verdict.verdict, verdict.effect) == ("supported", None)
    [both] = verdicts(tmp_path / "both", b, b, hypothesis(metric=metric, expect="equivalent", margin=0.01))
    assert (both.verdict, both.effect, both.interval) == ("supported", 0, (0, 0))


def test_networks_that_all_failed_are_equally_accurate(tmp_path: Path) -> None:
    [verdict] = verdicts(tmp_path / "r", collapsed(12), collapsed(12), hypothesis(expect="equivalent"))
    assert (verdict.verdict, verdict.effect, verdict.test) == ("supported", 0, "sign")


def test_credit_in_single_precision_breaks_no_tie(tmp_path: Path) -> None:
    silent = [record(metrics=metrics(0.10000000149011612, **COLLAPSED)) for _ in range(8)]
    [verdict] = verdicts(tmp_path / "r", silent, diverged(8), hypothesis(margin=0.0))
    assert (verdict.verdict, verdict.interval, verdict.p_support) == ("undecided", (0, 0), 1)


def test_more_accurate_but_failing_more_often_is_a_trade_off(tmp_path: Path) -> None:
    a = [*trained(*[0.92] * 15), *collapsed(3)]
    b = trained(*[0.89] * 18)
    [better, worse] = verdicts(tmp_path / "r", a, b, hypothesis(), hypothesis(id="worse", expect="less"))
    assert (better.verdict, better.trade_off) == ("supported", True)
    assert (worse.verdict, worse.trade_off) == ("refuted", True)
    [other_way] = verdicts(tmp_path / "other", b, a, hypothesis())
    assert (other_way.verdict, other_way.trade_off) == ("refuted", True)
    [two] = verdicts(tmp_path / "two", [*trained(*[0.92] * 15), *collapsed(2)], b[:17], hypothesis())
    assert (two.verdict, two.trade_off) == ("supported", False)  # p = 1/4


def test_shares_are_compared_by_newcombe_and_mcnemar(tmp_path: Path) -> None:
    a, b = trained(*[0.9] * 8), [*trained(0.9, 0.9), *collapsed(6)]
    [verdict] = verdicts(tmp_path / "r", a, b, hypothesis(metric="escaped", margin=0.1))
    assert (verdict.verdict, verdict.effect, verdict.n) == ("supported", 0.75, 8)
    assert verdict.failed is not None
    assert verdict.failed.mcnemar_p == 2 / 2**6
    assert verdict.failed.difference == -0.75


def test_a_grid_without_lock_or_hypotheses_is_judged_as_it_stands(tmp_path: Path) -> None:
    a, b = trained(*ACCURACIES_A), trained(*ACCURACIES_B)
    assert verdicts(tmp_path / "none", a, b) == []
    [verdict] = verdicts(tmp_path / "unlocked", a, b, hypothesis(), lock=None)
    assert (verdict.verdict, verdict.post_hoc) == ("supported", False)


# Claims on costs


def costs_verdicts(
    folder: Path, a: dict[str, Any], b: dict[str, Any], *hypotheses: dict[str, Any]
) -> list[Verdict]:
    """Judge claims on two variants of which no cell has been trained, and which this machine has measured."""
    write_results(folder, {A: [None], B: [None]}, hypotheses=list(hypotheses), machine=CPU)
    write_costs(folder, "v00", cost_entry(**a))
    write_costs(folder, "v01", cost_entry(**b))
    return judge(load_results(folder))


def training(*samples: float) -> dict[str, Any]:
    return {"train": {**cost_entry()["train"], "images_per_second": rounds(*samples)}}


def test_a_measured_claim_is_judged_over_rounds(tmp_path: Path) -> None:
    slower = hypothesis(metric="train_images_per_second", expect="less", margin=0.0)
    # A less B: -100, -110, -90, -105, -95, -100
    a, b = training(200, 210, 190, 195, 205, 200), training(300, 320, 280, 300, 300, 300)
    [verdict] = costs_verdicts(tmp_path / "r", a, b, slower)
    assert (verdict.verdict, verdict.n, verdict.early, verdict.by_round) == ("supported", 6, False, True)
    assert (verdict.effect, verdict.interval) == (-100, (-110, -90))
    assert (verdict.pairs, verdict.failed, verdict.test) == ([1, 2, 3, 4, 5, 6], None, "signed-rank")


def test_a_factor_between_speeds_is_of_ratios_within_rounds(tmp_path: Path) -> None:
    half = hypothesis(metric="train_images_per_second", expect="less", margin=None, factor=1.5)
    # the machine's speed varies fourfold, the ratios do not: 0.5, 0.5, 0.52, 0.48, 0.5, 0.5
    a, b = training(50, 100, 208, 96, 50, 50), training(100, 200, 400, 200, 100, 100)
    [verdict] = costs_verdicts(tmp_path / "r", a, b, half)
    assert verdict.verdict == "supported"
    assert verdict.effect == pytest.approx(0.5)
    assert verdict.interval == pytest.approx((0.48, 0.52))


@pytest.mark.parametrize(
    ("metric", "a", "b", "effect"),
    [
        ("predict_images_per_second", {"predict": {**cost_entry()["predict"], "images_per_second": around(800.0)}},
         {}, 0.2),
        ("latency_p50_seconds", {"latency_seconds": {"p50": 1, "p95": 1, "p99": 1, "samples": [[1.0], [1.0]]}},
         {"latency_seconds": {"p50": 4, "p95": 4, "p99": 4, "samples": [[4.0], [4.0]]}}, 0.25),
        ("train_joules_per_image", {"energy_joules_per_image": {"train": around(1.0), "predict": around(1.0)}},
         {"energy_joules_per_image": {"train": around(4.0), "predict": around(1.0)}}, 0.25),
    ],
)  # fmt: skip
def test_every_measured_metric_can_be_claimed(
    tmp_path: Path, metric: str, a: dict[str, Any], b: dict[str, Any], effect: float
) -> None:
    claim = hypothesis(metric=metric, expect="less", margin=None, factor=2.0)
    [verdict] = costs_verdicts(tmp_path / "r", a, b, claim)
    assert verdict.effect == pytest.approx(effect)
    assert verdict.verdict == "undecided"  # five rounds and two decide nothing


def test_memory_that_is_counted_needs_no_test(tmp_path: Path) -> None:
    def of(num_bytes: int) -> dict[str, Any]:
        return {"memory_bytes": {**cost_entry()["memory_bytes"], "train_peak_estimate": num_bytes}}

    less = hypothesis(metric="train_tensor_bytes", expect="less", margin=None, factor=5.0)
    [verdict] = costs_verdicts(tmp_path / "r", of(32_000_000), of(660_000_000), less)
    assert (verdict.verdict, verdict.interval, verdict.n) == ("supported", None, None)
    assert verdict.effect == pytest.approx(32 / 660)


def test_counts_are_known_from_costs_before_anything_is_trained(tmp_path: Path) -> None:
    fewer = hypothesis(metric="num_params", expect="less", margin=0.0)
    more = {"num_params": {"total": 4000, "convolution": 4000, "pointwise": 0, "dense": 0}}
    [verdict] = costs_verdicts(tmp_path / "r", {}, more, fewer)
    assert (verdict.verdict, verdict.effect) == ("supported", -3000)


@pytest.mark.parametrize(
    "b",
    [{"measured_at": "2026-02-01T00:00:00+00:00"}, {"machine": OTHER_CPU}, {"train": None}],
    ids=["measured apart", "another machine", "not measured"],
)
def test_what_was_not_measured_together_is_not_testable(tmp_path: Path, b: dict[str, Any]) -> None:
    slower = hypothesis(metric="train_images_per_second", expect="less", margin=0.0)
    [verdict] = costs_verdicts(tmp_path / "r", {}, b, slower)
    assert (verdict.verdict, verdict.n) == ("not testable", 0)


def test_measured_claims_are_part_of_the_family(tmp_path: Path) -> None:
    speed = hypothesis(id="speed", metric="train_images_per_second", expect="less", margin=0.0)
    count = hypothesis(id="count", metric="num_params", expect="less", margin=0.0)
    found = {
        one.id: one for one in costs_verdicts(tmp_path / "r", {}, {}, speed, count, hypothesis(id="accuracy"))
    }
    assert (found["speed"].family_size, found["speed"].level) == (2, 0.025)


def test_a_taken_look_is_shown_as_grid_json_keeps_it(tmp_path: Path) -> None:
    a, b, more = (
        trained(*ACCURACIES_A),
        trained(*ACCURACIES_B),
        {"until_decided": {"at_most": 6, "looks": [3, 5, 6]}},
    )
    verdicts(tmp_path / "before", a, b, hypothesis(), **more)
    grid = load_results(tmp_path / "before").grid
    ids = {variant.label: variant.variant_id for variant in grid.variants}
    look = {
        "hypothesis": "two-beats-one", "claim": claim_digest(grid.hypotheses[0], ids), "n": 5,
        "seeds": [0, 2, 3, 4],
        "missing": [{"variant_id": ids[B], "seed": 1, "reason": "crashed"}], "decided": True, "verdict": "refuted",
        "level": 0.001, "effect": -0.02, "interval": [None, 0.005], "taken_at": "monday",
    }  # fmt: skip
    [found] = verdicts(tmp_path / "after", a, b, hypothesis(), **more, looks=[look])
    assert (found.verdict, found.level, found.effect, found.interval) == ("refuted", 0.001, -0.02, (None, 0.005))
    assert (found.n, found.pairs, found.early) == (4, [0, 2, 3, 4], False)
    assert found.missing == [MissingCell(B, 1, "crashed")]
