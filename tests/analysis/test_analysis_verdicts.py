import json
import math
from pathlib import Path
from typing import Any

import pytest
from costs_fixture import CPU, OTHER_CPU, around, cost_entry, rounds, write_costs
from report_fixture import COLLAPSED, locked, metrics, record, write_results

from nin_bench.analysis.verdicts import Verdict, judge
from nin_bench.report.verdict_text import describe_verdict as words
from nin_bench.results import load_results

A, B = "nin pointwise=2", "nin pointwise=1"
ACCURACIES_A = [0.912, 0.914, 0.909, 0.915, 0.910]
ACCURACIES_B = [0.890, 0.894, 0.885, 0.893, 0.888]  # A less B: .022 .020 .024 .022 .022

Made = dict[str, Any] | None


def hypothesis(**changes: Any) -> dict[str, Any]:
    return {
        "id": "two-beats-one", "says": "Two 1×1 layers classify better than one.", "primary": True,
        "metric": "test_accuracy", "compare": [A, B], "expect": "greater", "margin": 0.01, "factor": None,
        **changes,
    }  # fmt: skip


def trained(*accuracies: float, **others: Any) -> list[Made]:
    return [record(metrics=metrics(accuracy, **others)) for accuracy in accuracies]


def collapsed(count: int) -> list[Made]:
    return [record(metrics=metrics(0.1, **COLLAPSED)) for _ in range(count)]


def verdicts(
    folder: Path, a: list[Made], b: list[Made], *hypotheses: dict[str, Any], **grid: Any
) -> list[Verdict]:
    """Judge hypotheses that were locked as they are now, unless the grid says otherwise."""
    write_results(folder, {A: a, B: b}, **{"hypotheses": list(hypotheses), **grid})
    found = judge(load_results(folder))
    for verdict in found:
        json.dumps(verdict.as_dict(), allow_nan=False)  # it goes into report.json as it is
    return found


def test_a_clear_difference_supports_a_claim(tmp_path: Path) -> None:
    [verdict] = verdicts(tmp_path / "r", trained(*ACCURACIES_A), trained(*ACCURACIES_B), hypothesis())
    assert (verdict.id, verdict.verdict, verdict.n) == ("two-beats-one", "supported", 5)
    assert verdict.effect == pytest.approx(0.022)
    # 0.022 ± 2.776 · 0.001414 / √5
    assert verdict.interval == pytest.approx((0.020244, 0.023756), abs=1e-6)
    assert (verdict.post_hoc, verdict.early, verdict.compare) == (False, False, (A, B))
    assert words(verdict).claim == (
        "Claimed: test accuracy, nin pointwise=2 − nin pointwise=1, above the 1.0 points that matter."
    )
    assert words(verdict).sentence == (
        "pointwise=2 has 2.20 points more test accuracy than pointwise=1 "
        "(95 % interval 2.02 to 2.38, n=5). The whole interval lies above the 1.0 points that matter: supported."
    )
    assert verdict.details["sign_flip_p"] == 2 / 2**5
    assert verdict.details["correlation"] == pytest.approx(36 / math.sqrt(26 * 54))
    assert verdict.details["num_healthy"] == [5, 5]


@pytest.mark.parametrize(
    ("changes", "verdict", "ending"),
    [
        ({"margin": 0.0}, "supported", "lies above zero: supported."),
        ({"margin": 0.03}, "refuted", "lies below the 3.0 points that matter: refuted."),
        ({"margin": 0.0225}, "undecided",
         "lies above zero, but reaches across the 2.25 points that matter: more, but perhaps not by as much as "
         "matters, so undecided."),
        ({"expect": "less"}, "refuted", "lies above the −1.0 points that matter: refuted."),
        ({"expect": "equivalent"}, "refuted", "lies outside the ±1.0 points that matter: refuted."),
        ({"expect": "equivalent", "margin": 0.03}, "supported",
         "lies within the ±3.0 points that matter: supported."),
        ({"margin": None, "factor": 1.5}, "refuted", "lies below the factor of 1.5 that matters: refuted."),
    ],
)  # fmt: skip
def test_where_the_interval_lies_is_the_verdict(
    tmp_path: Path, changes: dict[str, Any], verdict: str, ending: str
) -> None:
    a, b = trained(*ACCURACIES_A), trained(*ACCURACIES_B)
    [found] = verdicts(tmp_path / "r", a, b, hypothesis(**changes))
    assert found.verdict == verdict
    assert words(found).sentence.endswith(ending)


def test_a_ratio_is_of_geometric_means(tmp_path: Path) -> None:
    a = [record(metrics=metrics(0.9, test_loss=loss)) for loss in (0.40, 0.44, 0.36)]
    b = trained(0.9, 0.9, 0.9, test_loss=0.1)
    twice = hypothesis(metric="test_loss", margin=None, factor=2.0)
    [verdict] = verdicts(tmp_path / "r", a, b, twice)
    assert verdict.verdict == "supported"
    assert verdict.effect == pytest.approx((4.0 * 4.4 * 3.6) ** (1 / 3))
    assert verdict.interval is not None
    assert 2 < verdict.interval[0] < 4 < verdict.interval[1]
    assert "times the test loss of pointwise=1" in words(verdict).sentence


@pytest.mark.parametrize(
    ("metric", "recorded"),
    [
        ("train_seconds", "train_seconds"),
        ("seen_images_per_second", "train_images_per_second"),
        ("peak_memory_bytes", "peak_memory_bytes"),
    ],
)
def test_what_was_seen_while_others_trained_decides_nothing(tmp_path: Path, metric: str, recorded: str) -> None:
    a = [record(metrics=metrics(0.9, **{recorded: value})) for value in (40.0, 44.0, 36.0)]
    b = [record(metrics=metrics(0.9, **{recorded: value})) for value in (10.0, 11.0, 10.0)]
    [verdict] = verdicts(tmp_path / "r", a, b, hypothesis(metric=metric, margin=None, factor=2.0))
    assert (verdict.verdict, verdict.effect, verdict.interval, verdict.n) == ("not testable", None, None, 0)
    assert "was seen while cells trained side by side, not measured on its own." in words(verdict).sentence


def test_a_count_is_compared_without_a_test(tmp_path: Path) -> None:
    a, b = trained(0.9, num_params=1_992_166), trained(0.9, num_params=46_764_746)
    fewer = hypothesis(metric="num_params", expect="less", margin=None, factor=20.0)
    by_margin = hypothesis(id="margin", metric="num_params", expect="less", margin=45_000_000.0)
    accuracy = hypothesis(id="accuracy")
    found = verdicts(tmp_path / "r", a, b, fewer, by_margin, accuracy)
    assert [verdict.verdict for verdict in found] == ["supported", "refuted", "undecided"]
    assert found[0].effect == pytest.approx(1_992_166 / 46_764_746)
    assert found[0].interval is None
    assert words(found[0]).sentence == (
        "pointwise=2 has 1,992,166 parameters, pointwise=1 has 46,764,746: 0.0426 times as many. "
        "That lies below the factor of 1/20 that matters: supported."
    )
    assert words(found[1]).sentence.endswith(
        "44,772,580 fewer. That does not lie below the −45,000,000 that matter: refuted."
    )
    assert [verdict.n for verdict in found] == [None, None, 1]  # counts are exact, whatever the number of seeds
    assert found[2].details["family_size"] == 1  # counts are no part of the family


def test_primary_hypotheses_are_one_family_and_the_others_stand_alone(tmp_path: Path) -> None:
    near = hypothesis(id="near", margin=0.0205)  # p = .076 on its own
    far, farther = hypothesis(id="far", margin=0.0), hypothesis(id="farther", expect="equivalent", margin=0.005)
    alone = hypothesis(id="alone", primary=False)
    a, b = trained(*ACCURACIES_A), trained(*ACCURACIES_B)
    found = {verdict.id: verdict for verdict in verdicts(tmp_path / "r", a, b, near, far, farther, alone)}
    assert {name: verdict.verdict for name, verdict in found.items()} == {
        "near": "undecided", "far": "supported", "farther": "refuted", "alone": "supported"
    }  # fmt: skip
    levels = {name: verdict.details["level"] for name, verdict in found.items()}
    assert levels == pytest.approx({"near": 0.05, "far": 0.05 / 3, "farther": 0.05 / 2, "alone": 0.05})
    assert "98.3 % interval" in words(found["far"]).sentence
    assert found["alone"].details["family_size"] == 1


def test_a_changed_hypothesis_is_post_hoc_and_a_withdrawn_one_still_counts(tmp_path: Path) -> None:
    lock = locked([0, 1, 2, 3, 4], [
        hypothesis(margin=0.02), hypothesis(id="reworded", says="Two are better."), hypothesis(id="withdrawn"),
    ])  # fmt: skip
    a, b = trained(*ACCURACIES_A), trained(*ACCURACIES_B)
    found = verdicts(
        tmp_path / "r", a, b, hypothesis(), hypothesis(id="reworded"), hypothesis(id="added"), lock=lock
    )
    assert [(verdict.id, verdict.post_hoc) for verdict in found] == [
        ("two-beats-one", True), ("reworded", False), ("added", True),
    ]  # fmt: skip
    # three were locked; two are post hoc
    assert [verdict.details["family_size"] for verdict in found] == [2, 3, 2]
    assert found[1].details["level"] == pytest.approx(0.05 / 3)
    assert words(found[0]).sentence.endswith(
        "Post hoc: no such claim was locked before the run, so this one is a finding to test anew."
    )


@pytest.mark.parametrize(
    "now",
    [
        [],
        [hypothesis(id="far", margin=0.0, factor=None)],  # as it was locked
        [hypothesis(id="far", margin=0.0, expect="less")],  # edited, and as clear as before
        [hypothesis(id="far", margin=0.0, primary=False)],
        [hypothesis(id="far", margin=0.0, metric="num_params")],
        [hypothesis(id=f"added-{number}", primary=True, margin=0.0) for number in range(9)],
        [hypothesis(id=f"noise-{number}", primary=True, margin=0.022) for number in range(9)],
    ],
    ids=["withdrawn", "kept", "edited", "made secondary", "made a count", "clear ones added", "open ones added"],
)
def test_nothing_done_after_the_run_eases_a_locked_verdict(tmp_path: Path, now: list[dict[str, Any]]) -> None:
    # on its own "near" is supported at 5 %, and in a family of two only if the other one is decided too
    near, far = hypothesis(id="near", margin=0.02), hypothesis(id="far", margin=0.0)
    lock = locked([0, 1, 2, 3, 4], [near, far])
    found = verdicts(tmp_path / "r", trained(*ACCURACIES_A), trained(*ACCURACIES_B), near, *now, lock=lock)
    kept = [verdict.post_hoc for verdict in found[1:]] == [False]
    assert (found[0].id, found[0].post_hoc, found[0].details["family_size"]) == ("near", False, 2)
    assert found[0].details["level"] == pytest.approx(0.05 if kept else 0.05 / 2)
    assert found[0].verdict == ("supported" if kept else "undecided")


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
    assert (verdict.n, verdict.details["seeds"], verdict.early) == (3, [0, 1, 2], False)
    assert words(verdict).sentence.endswith("Added after the first run, so not counted: seeds 3, 4.")


def test_missing_and_crashed_cells_are_named_and_make_it_an_early_look(tmp_path: Path) -> None:
    a, b = trained(*ACCURACIES_A), trained(*ACCURACIES_B)
    a[1], b[3] = None, record("crashed", error="worker ended with signal 9")
    [verdict] = verdicts(tmp_path / "r", a, b, hypothesis())
    assert (verdict.n, verdict.early, verdict.verdict) == (3, True, "supported")
    assert "An early look: 3 of 5 planned pairs have ended." in words(verdict).sentence
    assert words(verdict).sentence.endswith(
        "Left out: seed 1 of nin pointwise=2 (missing); seed 3 of nin pointwise=1 (crashed)."
    )
    assert verdict.details["left_out"] == [
        {"label": A, "seed": 1, "reason": "missing"}, {"label": B, "seed": 3, "reason": "crashed"},
    ]  # fmt: skip


def test_one_pair_decides_nothing(tmp_path: Path) -> None:
    [verdict] = verdicts(tmp_path / "r", trained(0.92), trained(0.80), hypothesis())
    assert (verdict.verdict, verdict.n, verdict.interval) == ("undecided", 1, None)
    assert verdict.effect == pytest.approx(0.12)
    assert "One pair has no spread" in words(verdict).sentence


def test_equal_differences_decide_nothing(tmp_path: Path) -> None:
    [verdict] = verdicts(tmp_path / "r", trained(0.92, 0.94), trained(0.90, 0.92), hypothesis())
    assert (verdict.verdict, verdict.interval) == ("undecided", None)
    assert "All 2 differences are the same" in words(verdict).sentence


@pytest.mark.parametrize(
    ("a", "changes", "reason"),
    [
        (trained(0.9), {"compare": [A, "vgg11"]}, "no cell of vgg11 was planned"),
        ([None], {}, "there is no seed at which both variants can be compared"),
        (trained(0.9, validation_accuracy=None), {"metric": "validation_accuracy"},
         "there is no seed at which both variants can be compared. Left out: seed 0 of nin pointwise=2 "
         "(not measured)"),
        (trained(0.9, healthy=None, escaped=None), {},
         "there is no seed at which both variants can be compared. Left out: seed 0 of nin pointwise=2 "
         "(trained too few steps to tell whether it collapsed)"),
        (trained(0.9, healthy=None, escaped=None), {"metric": "healthy", "margin": 0.1},
         "there is no seed at which both variants can be compared. Left out: seed 0 of nin pointwise=2 "
         "(not measured)"),
        (trained(0.9, test_loss=None), {"metric": "test_loss"},
         "there is no seed at which both variants can be compared. Left out: seed 0 of nin pointwise=2 "
         "(not measured)"),
        (trained(0.9, num_macs=None), {"metric": "num_macs"},
         "num_macs is not known for both variants"),
        (trained(0.9, train_accuracy=0.8), {"metric": "generalisation_gap", "margin": None, "factor": 2.0},
         "a factor needs values above 0, and generalisation_gap has others"),
        (trained(0.9), {"metric": "healthy", "margin": None, "factor": 2.0},
         "shares of networks are compared by a margin, not by a factor"),
    ],
)  # fmt: skip
def test_what_cannot_be_tested_says_why(
    tmp_path: Path, a: list[Made], changes: dict[str, Any], reason: str
) -> None:
    [verdict] = verdicts(tmp_path / "r", a, trained(0.9), hypothesis(**changes))
    assert (verdict.verdict, verdict.effect, verdict.interval) == ("not testable", None, None)
    assert words(verdict).sentence.startswith(f"Not testable: {reason}.")


def test_a_collapsed_network_stays_out_of_the_mean(tmp_path: Path) -> None:
    a, b = trained(*ACCURACIES_A), trained(*ACCURACIES_B)
    a[2] = collapsed(1)[0]
    [verdict] = verdicts(tmp_path / "r", a, b, hypothesis())
    assert (verdict.verdict, verdict.n) == ("undecided", 5)
    assert (verdict.effect, verdict.interval) == (None, None)  # ranks decide, and no mean
    assert verdict.details["given_healthy"]["effect"] == pytest.approx((0.022 + 0.020 + 0.022 + 0.022) / 4)
    assert "Where both are healthy, pointwise=2 has 2.15 points more" in words(verdict).sentence
    assert verdict.details["test"] == "three parts"
    assert verdict.details["ranking"] == {
        "wins": 4, "ties": 0, "losses": 1, "chance": 0.8, "sign_test_p": pytest.approx(0.375),
        "verdict": "undecided", "held": 4,
        # scipy.stats.beta.ppf(0.025, 4, 2), .ppf(0.975, 5, 1)
        "held_interval": pytest.approx((0.2836, 0.9949), abs=1e-4),
    }  # fmt: skip
    assert words(verdict).answer == (
        "Not known: it held in 4 of 5 pairs, and where networks fail it takes 6 at least. "
        "About 20 seeds in all would likely support it, if the next fall out like these."
    )
    assert words(verdict).finding == "held in 4 of 5 pairs of seeds (counted, as 1 network failed)"
    assert (verdict.seeds_needed, verdict.likely_verdict) == (20, "supported")
    assert verdict.details["health"]["only_b"] == 1
    assert verdict.details["given_healthy"]["num_pairs"] == 4
    assert "Not every network is healthy: 4 of 5 of pointwise=2, 5 of 5 of pointwise=1." in words(verdict).sentence
    assert "It takes at least 6 pairs to decide by ranks." in words(verdict).sentence


def test_a_diverged_network_is_a_failure_and_not_a_missing_one(tmp_path: Path) -> None:
    a, b = trained(*ACCURACIES_A, 0.91), [record("diverged", {"escaped": True})] * 6
    by_accuracy, by_health = hypothesis(), hypothesis(id="health", metric="healthy", margin=0.1)
    found = verdicts(tmp_path / "r", a, b, by_accuracy, by_health)
    assert [verdict.verdict for verdict in found] == ["undecided", "undecided"]
    [alone] = verdicts(tmp_path / "alone", a, b, by_accuracy)
    assert (alone.verdict, alone.n, alone.effect) == ("supported", 6, None)


@pytest.mark.parametrize("expect", ["greater", "less", "equivalent"])
def test_networks_that_all_collapsed_say_nothing_of_accuracy(tmp_path: Path, expect: str) -> None:
    [verdict] = verdicts(tmp_path / "r", collapsed(12), collapsed(12), hypothesis(expect=expect))
    assert verdict.verdict == "undecided"
    assert "ties: 12, 12 of them with nothing to compare, as both failed." in words(verdict).sentence


def test_equal_but_for_a_few_failures_is_not_proven_equal(tmp_path: Path) -> None:
    a, b = trained(*[0.9] * 12), [*trained(*[0.9] * 10), *collapsed(2)]
    [verdict] = verdicts(tmp_path / "one side", a, b, hypothesis(expect="equivalent"))
    assert (verdict.verdict, verdict.details["ranking"]["verdict"]) == ("undecided", "supported")
    assert words(verdict).sentence.endswith(
        "By rank the claim would be supported, but one failed where the other did not, and too few pairs tell "
        "whether that is luck: undecided, which is not the same as equal."
    )
    [paired] = verdicts(tmp_path / "both sides", b, b, hypothesis(expect="equivalent"))
    assert paired.verdict == "supported"


def test_a_collapsed_network_has_no_good_generalisation_gap(tmp_path: Path) -> None:
    # a network at chance has no gap at all, which is no merit
    a, b = trained(*[0.9] * 6, train_accuracy=0.93), collapsed(6)
    smaller = hypothesis(metric="generalisation_gap", expect="less", margin=0.01)
    assert [verdict.verdict for verdict in verdicts(tmp_path / "r", a, b, smaller)] == ["supported"]


def test_more_accurate_but_less_often_healthy_is_a_trade_off(tmp_path: Path) -> None:
    a = [*trained(*ACCURACIES_A, 0.911), *collapsed(6)]
    b = trained(*ACCURACIES_B, 0.889, *[0.89] * 6)
    [verdict] = verdicts(tmp_path / "r", a, b, hypothesis())
    assert verdict.verdict == "trade-off"
    assert words(verdict).sentence.endswith(
        "The one that fails less often does worse where both are healthy: a trade-off."
    )
    assert verdict.details["selection_bounds"][0] > 0.01


def test_health_is_compared_by_newcombe_and_mcnemar(tmp_path: Path) -> None:
    a, b = trained(*[0.9] * 8), [*trained(0.9, 0.9), *collapsed(6)]
    [verdict] = verdicts(tmp_path / "r", a, b, hypothesis(metric="healthy", margin=0.1))
    assert (verdict.verdict, verdict.effect, verdict.n) == ("supported", 0.75, 8)
    assert "8 of 8 for pointwise=2 and 2 of 8 for pointwise=1: 75.0 points more" in words(verdict).sentence
    assert "exact McNemar p = 0.031" in words(verdict).sentence
    assert verdict.details["mcnemar_p"] == 2 / 2**6


def test_a_lower_loss_is_supported_by_less(tmp_path: Path) -> None:
    a = [record(metrics=metrics(0.9, test_loss=loss)) for loss in (0.250, 0.260, 0.255)]
    b = [record(metrics=metrics(0.9, test_loss=loss)) for loss in (0.300, 0.312, 0.303)]
    lower = hypothesis(metric="test_loss", expect="less", margin=0.02)
    [verdict] = verdicts(tmp_path / "r", a, b, lower)
    assert verdict.verdict == "supported"
    assert words(verdict).sentence.startswith("pointwise=2 has 0.0500 nats less test loss than pointwise=1")
    assert "below the −0.02 nats that matter" in words(verdict).sentence


def test_pairing_that_gains_nothing_is_said(tmp_path: Path) -> None:
    [verdict] = verdicts(
        tmp_path / "r", trained(*ACCURACIES_A), trained(*sorted(ACCURACIES_B, reverse=True)), hypothesis()
    )
    assert verdict.details["pairing_pays"] is False
    assert words(verdict).sentence.endswith(
        "Pairing by seed narrows nothing here: what pairs share (correlation 0.27) saves less than having 4 "
        "degrees of freedom instead of 8 costs."
    )
    [opposed] = verdicts(tmp_path / "opposed", trained(0.92, 0.93, 0.94), trained(0.92, 0.91, 0.89), hypothesis())
    assert "the two do not rise and fall together (correlation −0.98)." in words(opposed).sentence


def test_what_is_known_of_an_open_claim_is_said(tmp_path: Path) -> None:
    a, b = trained(*ACCURACIES_A), trained(*ACCURACIES_B)
    [verdict] = verdicts(tmp_path / "r", a, b, hypothesis(margin=0.0225))
    assert words(verdict).answer.startswith(
        "More, but perhaps not by as much as matters: from 2.02 points more to 2.38 points more fits the 5 seeds. "
    )
    assert words(verdict).finding == (
        "2.20 points more test accuracy (95 % interval 2.02 to 2.38, n=5): more, but perhaps not by as much as "
        "matters"
    )
    assert verdict.likely_verdict == "refuted"
    assert verdict.seeds_needed is not None
    [far] = verdicts(tmp_path / "far", a, b, hypothesis(margin=0.021))
    assert far.likely_verdict == "supported"


def test_an_effect_that_rounds_to_nothing_is_not_called_more(tmp_path: Path) -> None:
    # A less B: .003, -.002, -.0011, .0002
    a, b = trained(0.903, 0.898, 0.8989, 0.9002), trained(0.9, 0.9, 0.9, 0.9)
    [verdict] = verdicts(tmp_path / "r", a, b, hypothesis(expect="equivalent"))
    assert words(verdict).answer == "Yes: the same test accuracy, to 0.01 points."
    assert words(verdict).sentence.startswith(
        "pointwise=2 and pointwise=1 have the same test accuracy, to 0.01 points (95 %"
    )


def test_a_smaller_gap_is_not_praised_without_a_word_on_learning(tmp_path: Path) -> None:
    a = [record(metrics=metrics(0.9, train_accuracy=accuracy)) for accuracy in (0.91, 0.92, 0.912)]
    b = [record(metrics=metrics(0.9, train_accuracy=accuracy)) for accuracy in (0.95, 0.961, 0.952)]
    [verdict] = verdicts(tmp_path / "r", a, b, hypothesis(metric="generalisation_gap", expect="less"))
    assert verdict.verdict == "supported"
    assert "A network that learned less has a smaller generalisation gap, too" in words(verdict).sentence


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
    found = judge(load_results(folder))
    for verdict in found:
        json.dumps(verdict.as_dict(), allow_nan=False)
    return found


def training(*samples: float) -> dict[str, Any]:
    return {"train": {**cost_entry()["train"], "images_per_second": rounds(*samples)}}


def test_a_measured_claim_is_judged_over_rounds(tmp_path: Path) -> None:
    slower = hypothesis(metric="train_images_per_second", expect="less", margin=0.0)
    # A less B: -100, -110, -90, -105, -95
    a, b = training(200, 210, 190, 195, 205), training(300, 320, 280, 300, 300)
    [verdict] = costs_verdicts(tmp_path / "r", a, b, slower)
    assert (verdict.verdict, verdict.n, verdict.early) == ("supported", 5, False)
    assert verdict.effect == pytest.approx(-100)
    assert verdict.interval == pytest.approx((-109.816, -90.184), abs=1e-3)  # 2.776 · 7.906 / √5
    assert words(verdict).sentence == (
        "pointwise=2 has 100 images/s less training throughput than pointwise=1 "
        "(95 % interval −110 to −90, n=5). The whole interval lies below zero: supported. "
        "Here n counts rounds of measuring, in each of which both have a fresh process; the verdict is of this "
        "machine, and of networks and images of this size."
    )
    assert words(verdict).answer == "Yes: 100 images/s less training throughput, on this machine, at this size."
    assert verdict.details["rounds"] == [1, 2, 3, 4, 5]
    assert "seeds" not in verdict.details


def test_a_factor_between_speeds_is_of_ratios_within_rounds(tmp_path: Path) -> None:
    half = hypothesis(metric="train_images_per_second", expect="less", margin=None, factor=1.5)
    # the machine's speed varies fourfold, the ratios do not: 0.5, 0.5, 0.52, 0.48
    a, b = training(50, 100, 208, 96), training(100, 200, 400, 200)
    [verdict] = costs_verdicts(tmp_path / "r", a, b, half)
    assert verdict.verdict == "supported"
    assert verdict.effect == pytest.approx((0.5 * 0.5 * 0.52 * 0.48) ** 0.25)
    assert "has 0.500 times the training throughput of pointwise=1" in words(verdict).sentence


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
    assert verdict.verdict == "undecided"  # no spread between the ratios of these rounds
    assert "without spread there is no telling" in words(verdict).sentence


def test_memory_that_is_counted_needs_no_test(tmp_path: Path) -> None:
    def of(num_bytes: int) -> dict[str, Any]:
        return {"memory_bytes": {**cost_entry()["memory_bytes"], "train_peak_foretold": num_bytes}}

    less = hypothesis(metric="train_tensor_bytes", expect="less", margin=None, factor=5.0)
    [verdict] = costs_verdicts(tmp_path / "r", of(32_000_000), of(660_000_000), less)
    assert (verdict.verdict, verdict.interval, verdict.n) == ("supported", None, None)
    assert verdict.effect == pytest.approx(32 / 660)
    assert words(verdict).sentence == (
        "pointwise=2 has 32 MB of counted memory in training, pointwise=1 has 660 MB: 0.0485 times as much. "
        "That lies below the factor of 1/5 that matters: supported."
    )


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
    assert words(verdict).sentence == (
        "Not testable: training throughput was not measured apart from training, for both variants in the same "
        "rounds."
    )


def test_measured_claims_are_part_of_the_family(tmp_path: Path) -> None:
    speed = hypothesis(id="speed", metric="train_images_per_second", expect="less", margin=0.0)
    count = hypothesis(id="count", metric="num_params", expect="less", margin=0.0)
    accuracy = hypothesis(id="accuracy")
    a, b = training(200, 210, 190, 195, 205), training(300, 320, 280, 300, 300)
    found = {one.id: one for one in costs_verdicts(tmp_path / "r", a, b, speed, count, accuracy)}
    assert found["speed"].details["family_size"] == 2
    assert found["speed"].details["level"] == pytest.approx(0.025)
