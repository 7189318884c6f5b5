"""Every estimator against scipy, statsmodels or a published example, and all of them together by simulation."""

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from nin_bench.stats import (
    Claim,
    Decision,
    Evidence,
    Interval,
    PairedDifference,
    PairedShares,
    Ranking,
    ThreeParts,
    chances,
    detectable_difference,
    holm_levels,
    paired_difference,
    paired_shares,
    percentile_among,
    seeds_needed,
    selection_bounds,
    three_parts,
    welch_interval,
)
from nin_bench.stats.power import _chance_within

Array = npt.NDArray[np.float64]

# hours of sleep gained under two drugs, the same ten patients (Student, 1908)
SLEEP_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]

# crossed less self-fertilised maize, in eighths of an inch (Darwin, in Fisher, The Design of Experiments, 1935)
MAIZE = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]

EXPECTATIONS = ("greater", "less", "equivalent")


# The paired difference


def test_paired_difference_of_students_sleep_data() -> None:
    found = paired_difference(SLEEP_1, SLEEP_2)
    assert (found.n, found.mean) == (10, pytest.approx(-1.58))
    assert found.interval() == pytest.approx((-2.4598858, -0.7001142))
    assert 2 * found.below(0) == pytest.approx(0.002832890)
    assert found.sd == pytest.approx(stats.tstd(np.subtract(SLEEP_1, SLEEP_2)))
    assert found.correlation == pytest.approx(stats.pearsonr(SLEEP_1, SLEEP_2).statistic)


@pytest.mark.parametrize("alpha", [0.05, 0.0125])
@pytest.mark.parametrize("bound", [-2.0, 0.0, 1.0])
def test_paired_difference_agrees_with_scipy(alpha: float, bound: float) -> None:
    found = paired_difference(SLEEP_1, SLEEP_2)
    shifted = np.subtract(SLEEP_1, bound)
    assert found.above(bound) == pytest.approx(stats.ttest_rel(shifted, SLEEP_2, alternative="greater").pvalue)
    assert found.below(bound) == pytest.approx(stats.ttest_rel(shifted, SLEEP_2, alternative="less").pvalue)
    interval = stats.ttest_rel(SLEEP_1, SLEEP_2).confidence_interval(1 - alpha)
    assert found.interval(alpha) == pytest.approx((interval.low, interval.high))


def test_sign_flip_test_of_darwins_maize_counts_fishers_flips() -> None:
    # Fisher: 863 of the 32,768 ways to flip the signs reach the sum of 314
    found = paired_difference(MAIZE, [0] * 15)
    assert found.sign_flip_p == pytest.approx(2 * 863 / 32768)


def test_sign_flip_test_is_exact_up_to_16_pairs_and_repeats_beyond() -> None:
    assert paired_difference(range(1, 6), [0] * 5).sign_flip_p == 2 / 2**5
    assert paired_difference(range(1, 17), [0] * 16).sign_flip_p == 2 / 2**16
    many = paired_difference(range(-8, 12), [0] * 20)
    assert many.sign_flip_p == many.sign_flip_p
    assert many.sign_flip_p == pytest.approx(2 * many.above(0), abs=0.02)


def test_one_pair_has_no_spread() -> None:
    found = paired_difference([0.9], [0.8])
    assert (found.sd, found.interval(), found.correlation, found.pairing_pays) == (None, None, None, None)
    assert (found.above(0), found.below(0), found.sign_flip_p) == (1, 1, 1)


def test_equal_differences_decide_nothing() -> None:
    # 0.91 - 0.90 and 0.93 - 0.92 differ in the last bits
    found = paired_difference([0.91, 0.93, 0.95], [0.90, 0.92, 0.94])
    assert (found.sd, found.interval()) == (0, None)
    assert found.mean == pytest.approx(0.01)
    assert found.above(0) == found.below(0) == 1


def test_pairing_pays_where_pairs_share_more_than_the_freedom_they_cost() -> None:
    shared = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    own = np.array([0.1, -0.1, 0.2, 0.0, 0.1])
    alike = paired_difference(shared, shared + own)
    opposite = paired_difference(shared, shared[::-1] + own)
    assert alike.pairing_pays is True
    assert opposite.pairing_pays is False
    unpaired = stats.ttest_ind(shared, shared[::-1] + own).confidence_interval()
    low, high = opposite.interval() or (0, 0)
    assert high - low > unpaired.high - unpaired.low


# Claims and their verdicts


def decide(claim: Claim, a: list[float], b: list[float], alpha: float = 0.05) -> Decision:
    return claim.evidence(paired_difference(a, b)).decide(alpha)


@pytest.mark.parametrize(
    ("expect", "margin", "decision"),
    [  # the interval is -2.46 to -0.70
        ("greater", 0.0, "refuted"),
        ("greater", 0.5, "refuted"),
        ("less", 0.0, "supported"),
        ("less", 0.5, "supported"),
        ("less", 1.0, "undecided"),
        ("less", 3.0, "refuted"),
        ("equivalent", 0.5, "refuted"),
        ("equivalent", 1.0, "undecided"),
        ("equivalent", 3.0, "supported"),
    ],
)
def test_the_whole_interval_decides(expect: str, margin: float, decision: Decision) -> None:
    assert decide(Claim(expect, margin), SLEEP_1, SLEEP_2) == decision  # type: ignore[arg-type]


def test_a_ratio_is_a_difference_of_logarithms() -> None:
    a, b = np.log([40.0, 44.0, 36.0]), np.log([10.0, 10.0, 10.0])
    assert decide(Claim("greater", math.log(2)), a, b) == "supported"
    assert decide(Claim("greater", math.log(6)), a, b) == "refuted"
    assert decide(Claim("greater", math.log(4)), a, b) == "undecided"
    assert decide(Claim("less", math.log(2)), b, a) == "supported"
    assert decide(Claim("equivalent", math.log(6)), a, b) == "supported"


@pytest.mark.parametrize("margin", [1.0, 2.0, 3.0])
def test_equivalence_is_statsmodels_two_one_sided_tests(margin: float) -> None:
    expected, *_ = ttost_paired(np.array(SLEEP_1), np.array(SLEEP_2), -margin, margin)
    evidence = Claim("equivalent", margin).evidence(paired_difference(SLEEP_1, SLEEP_2))
    assert evidence.support_p == pytest.approx(expected)


def where(interval: Interval, claim: Claim) -> Decision:
    """The rule in words: where does the whole interval lie?"""
    (low, high), margin = interval, claim.margin
    supported, refuted = {
        "greater": (low > margin, high < margin),
        "less": (high < -margin, low > -margin),
        "equivalent": (-margin < low and high < margin, high < -margin or low > margin),
    }[claim.expect]
    return "supported" if supported else "refuted" if refuted else "undecided"


@settings(deadline=None)
@given(
    st.lists(st.floats(-3, 3), min_size=2, max_size=12, unique=True),
    st.lists(st.tuples(st.sampled_from(EXPECTATIONS), st.floats(0.1, 2)), min_size=1, max_size=6),
)
def test_every_verdict_of_a_family_is_what_its_interval_says(
    differences: list[float], claims: list[tuple[str, float]]
) -> None:
    test = paired_difference(differences, [0.0] * len(differences))
    family = [Claim(expect, margin) for expect, margin in claims]  # type: ignore[arg-type]
    evidence = [claim.evidence(test) for claim in family]
    for claim, weighed, level in zip(family, evidence, holm_levels([e.p for e in evidence]), strict=True):
        interval = test.interval(level)
        assert weighed.decide(level) == (where(interval, claim) if interval else "undecided")


def test_holm_levels_of_a_worked_example() -> None:
    # sorted .005 .01 .03 .04 against .05/4 .05/3 .05/2 .05/1: the third fails, and ends it
    levels = holm_levels([0.01, 0.04, 0.03, 0.005])
    assert levels == pytest.approx([0.05 / 3, 0.05 / 2, 0.05 / 2, 0.05 / 4])
    assert holm_levels([]) == []
    assert holm_levels([0.2]) == [0.05]


@pytest.mark.parametrize("seed", range(6))
def test_a_level_is_reached_exactly_where_holm_rejects(seed: int) -> None:
    p_values = np.random.default_rng(seed).beta(0.2, 5, size=8).tolist()
    reached = [p <= level for p, level in zip(p_values, holm_levels(p_values), strict=True)]
    assert reached == multipletests(p_values, 0.05, method="holm")[0].tolist()
    assert 0 < sum(reached) < 8


def test_evidence_needs_two_sided_significance() -> None:
    assert Evidence(support_p=0.03, refute_p=0.97).decide(0.05) == "undecided"
    assert Evidence(support_p=0.02, refute_p=0.98).decide(0.05) == "supported"
    assert Evidence(support_p=0.98, refute_p=0.02).decide(0.05) == "refuted"
    assert Evidence(support_p=1, refute_p=1).p == 1


# Shares


@pytest.mark.parametrize(
    ("counts", "interval"),
    [
        ((59, 6, 16, 80), (-0.1186, -0.0046)),  # Cavo et al., 2012, in Fagerland, Lydersen and Laake, 2017
        ((14, 5, 0, 22), (0.0115, 0.2265)),  # Altman et al., Statistics with Confidence, 2000, table 6.2
    ],
)
def test_newcombes_interval_of_published_examples(counts: tuple[int, int, int, int], interval: Interval) -> None:
    assert PairedShares(*counts).interval() == pytest.approx(interval, abs=5e-5)


def test_mcnemar_is_the_binomial_test_of_the_discordant_pairs() -> None:
    assert PairedShares(1, 4, 0, 0).mcnemar_p == pytest.approx(2 / 2**4)
    assert PairedShares(59, 6, 16, 80).mcnemar_p == pytest.approx(stats.binomtest(6, 22).pvalue)
    assert PairedShares(3, 0, 0, 2).mcnemar_p == 1


@pytest.mark.parametrize("counts", [(59, 6, 16, 80), (1, 4, 0, 0), (5, 0, 0, 0), (0, 0, 5, 0), (0, 3, 2, 0)])
def test_shares_mirror_when_the_variants_are_swapped(counts: tuple[int, int, int, int]) -> None:
    both, only_a, only_b, neither = counts
    test, swapped = PairedShares(*counts), PairedShares(both, only_b, only_a, neither)
    low, high = test.interval()
    assert swapped.interval() == pytest.approx((-high, -low))
    assert -1 <= low <= test.difference <= high <= 1
    for bound in (-0.5, 0.0, 0.1):
        assert test.above(bound) == swapped.below(-bound)


@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_a_share_is_decided_where_newcombes_interval_ends(alpha: float) -> None:
    test = PairedShares(20, 70, 4, 6)
    low, high = test.interval(alpha)
    assert test.above(low) == pytest.approx(alpha / 2)
    assert test.below(high) == pytest.approx(alpha / 2)


def test_a_share_is_not_decided_against_mcnemars_exact_test() -> None:
    four_of_five = PairedShares(1, 4, 0, 0)
    assert four_of_five.interval()[0] > 0
    assert four_of_five.above(0) == 1 / 2**4
    assert Claim("greater", 0.0).evidence(four_of_five).decide(0.05) == "undecided"
    six_of_six = PairedShares(0, 6, 0, 0)
    assert Claim("greater", 0.0).evidence(six_of_six).decide(0.05) == "supported"


def test_shares_are_counted_in_pairs() -> None:
    counted = paired_shares([True, True, False, False, True], [True, False, True, False, True])
    assert counted == PairedShares(both=2, only_a=1, only_b=1, neither=1)
    assert counted.difference == 0


# Collapse


def compare(a: list[float], b: list[float], *, margin: float = 0.01, higher_is_better: bool = True) -> ThreeParts:
    """NaN is a network that failed."""
    return three_parts(
        a, b, ~np.isnan(a), ~np.isnan(b), margin=margin, higher_is_better=higher_is_better
    )  # fmt: skip


FAILED = math.nan


def test_three_parts_of_a_small_example() -> None:
    # by pair: A better by .02; a tie; A failed; B failed; both failed
    test = compare([0.92, 0.905, FAILED, 0.90, FAILED], [0.90, 0.90, 0.88, FAILED, FAILED])
    assert (test.ranking.wins, test.ranking.ties, test.ranking.losses) == (2, 2, 1)
    assert test.ranking.chance == 3 / 5
    assert test.ranking.sign_test_p == stats.binomtest(2, 3).pvalue
    assert test.health == PairedShares(both=2, only_a=1, only_b=1, neither=1)
    assert test.given_healthy is not None
    assert (test.given_healthy.n, test.given_healthy.mean) == (2, pytest.approx(0.0125))
    assert test.bounds == pytest.approx((0.90833333 - 0.89333333, 0.015))


def test_a_difference_of_exactly_the_margin_is_a_tie() -> None:
    assert 0.91 - 0.90 > 0.01  # in floats
    assert compare([0.91], [0.90]).ranking.ties == 1


def test_a_failure_ranks_last_when_lower_is_better_too() -> None:
    losses = compare([0.30, FAILED], [0.35, 0.40], higher_is_better=False)
    assert losses.ranking.differences == (pytest.approx(-0.05), math.inf)
    assert (losses.ranking.wins, losses.ranking.losses) == (1, 1)
    claim = Claim("less", 0.01)
    six = compare([0.30] * 6, [0.35] * 5 + [FAILED], higher_is_better=False)
    assert six.decide(claim, 0.05) == "supported"
    assert six.decide(Claim("greater", 0.01), 0.05) == "refuted"


def test_ranks_decide_from_six_pairs_on() -> None:
    claim = Claim("greater", 0.01)
    assert compare([0.9] * 5, [FAILED] * 5).decide(claim, 0.05) == "undecided"
    assert compare([0.9] * 6, [FAILED] * 6).decide(claim, 0.05) == "supported"
    assert compare([FAILED] * 6, [0.9] * 6).decide(claim, 0.05) == "refuted"


def test_a_majority_of_ties_does_not_support_a_claim_of_more() -> None:
    # six wins to none is significant among the pairs that are no ties, but most pairs are ties
    ranking = Ranking((0.02,) * 6 + (0.005,) * 8, margin=0.01, higher_is_better=True)
    assert ranking.sign_test_p < 0.05
    assert Claim("greater", 0.01).evidence(ranking).decide(0.05) == "undecided"
    assert Claim("equivalent", 0.01).evidence(ranking).decide(0.05) == "undecided"
    alike = Ranking((0.02,) + (0.005,) * 13, margin=0.01, higher_is_better=True)
    assert Claim("equivalent", 0.01).evidence(alike).decide(0.05) == "supported"
    assert Claim("greater", 0.01).evidence(alike).decide(0.05) == "refuted"


def test_failing_less_often_but_doing_worse_is_a_trade_off() -> None:
    reliable = [0.90] * 12
    brilliant = [0.95] * 6 + [FAILED] * 6
    test = compare(brilliant, reliable)
    assert test.health.mcnemar_p == 2 / 2**6
    assert test.bounds == pytest.approx((0.05, 0.05))
    assert test.points_both_ways
    for expect in EXPECTATIONS:
        assert test.decide(Claim(expect, 0.01), 0.05) == "trade-off"
    # where the difference in health is not established, neither is the trade-off
    few = compare(brilliant[3:9], reliable[3:9])
    assert few.points_both_ways
    assert few.decide(Claim("greater", 0.01), 0.05) == "undecided"


@pytest.mark.parametrize("expect", EXPECTATIONS)
def test_pairs_that_both_failed_say_nothing_of_quality(expect: str) -> None:
    claim = Claim(expect, 0.01)  # type: ignore[arg-type]
    nothing = compare([FAILED] * 12, [FAILED] * 12)
    assert nothing.decide(claim, 0.05) == "undecided"
    assert (nothing.ranking.wins, nothing.ranking.ties, nothing.ranking.losses) == (0, 12, 0)
    # six pairs would decide, if the six others were not there to doubt it
    assert compare([0.95] * 6 + [FAILED] * 6, [0.90] * 6 + [FAILED] * 6).decide(claim, 0.05) == "undecided"


def test_only_paired_failures_leave_two_variants_equivalent() -> None:
    claim = Claim("equivalent", 0.01)
    whole, holed = [0.9] * 12, [0.9] * 10 + [FAILED] * 2
    unpaired = compare(whole, holed)
    assert unpaired.health.mcnemar_p == 0.5
    assert claim.evidence(unpaired.ranking).decide(0.05) == "supported"
    assert unpaired.decide(claim, 0.05) == compare(holed, whole).decide(claim, 0.05) == "undecided"
    assert compare(holed, holed).decide(claim, 0.05) == "supported"


def test_a_refutation_by_ties_needs_that_the_claimed_never_outlived_the_other() -> None:
    claim = Claim("greater", 0.01)
    whole, holed = [0.9] * 12, [0.9] * 10 + [FAILED] * 2
    assert compare(whole, holed).decide(claim, 0.05) == "undecided"
    assert compare(holed, whole).decide(claim, 0.05) == "refuted"
    assert compare(whole, [0.95] * 10 + [FAILED] * 2).decide(claim, 0.05) == "refuted"  # by losses
    assert compare(whole * 3, holed * 3).decide(claim, 0.05) == "trade-off"  # proven to fail less often


def test_equal_accuracy_at_unequal_health_is_no_equivalence() -> None:
    test = compare([0.900] * 40, [0.901] * 33 + [FAILED] * 7)
    assert Claim("equivalent", 0.01).evidence(test.ranking).decide(0.05) == "supported"
    assert test.decide(Claim("equivalent", 0.01), 0.05) == "trade-off"


def test_selection_bounds_trim_the_surplus_from_either_end() -> None:
    # Lee: of 0.8, 0.9, 1.0 two are kept, the lowest or the highest
    assert selection_bounds([0.9, 1.0, 0.8], [0.5, 0.6]) == pytest.approx((0.85 - 0.55, 0.95 - 0.55))
    assert selection_bounds([0.5, 0.6], [0.9, 1.0, 0.8]) == pytest.approx((0.55 - 0.95, 0.55 - 0.85))
    assert selection_bounds([0.5, 0.7], [0.1, 0.3]) == pytest.approx((0.4, 0.4))
    assert selection_bounds([], [0.1]) is None


# Power


def test_power_of_a_published_paired_t_test() -> None:
    # G*Power 3: effect size dz = 0.5, 34 pairs, two-sided 5 %: power 0.8077775
    assert chances(Claim("greater", 0.0), n=34, sd=1, difference=0.5).supported == pytest.approx(0.80778, abs=1e-5)
    assert seeds_needed(Claim("greater", 0.0), sd=1, difference=0.5) == 34


@pytest.mark.parametrize(
    ("variation", "n", "power"),
    [(0.3, 40, 0.815845), (0.2, 20, 0.834680)],
)
def test_power_of_published_equivalence_studies(variation: float, n: int, power: float) -> None:
    # R package PowerTOST, sampleN.TOST(CV = .3) and (CV = .2): 2×2 crossover, ratio .95, limits .80 to 1.25
    error = math.sqrt(math.log(1 + variation**2)) * math.sqrt(2 / n)
    found = _chance_within(math.log(1.25), math.log(0.95), error, df=n - 2, alpha=0.10)
    assert found == pytest.approx(power, abs=1e-6)


def test_chances_mirror_and_shift_with_the_margin() -> None:
    greater = chances(Claim("greater", 0.01), n=8, sd=0.01, difference=0.03)
    less = chances(Claim("less", 0.01), n=8, sd=0.01, difference=-0.03)
    assert greater == less
    assert greater.supported == pytest.approx(stats.nct.sf(stats.t.isf(0.025, 7), 7, 2 * math.sqrt(8)))
    assert chances(Claim("greater", 0.01), n=8, sd=0.01, difference=-0.01).refuted == pytest.approx(
        greater.supported
    )
    assert chances(Claim("greater", 0.01), n=1, sd=0.01, difference=0.03).decided == 0


def test_the_detectable_difference_is_detected_as_often_as_asked() -> None:
    for n, alpha in [(5, 0.05), (12, 0.01)]:
        beyond = detectable_difference(n=n, sd=0.02, alpha=alpha, power=0.9)
        assert beyond is not None
        found = chances(Claim("greater", 0.005), n=n, sd=0.02, difference=0.005 + beyond, alpha=alpha)
        assert found.supported == pytest.approx(0.9, abs=1e-6)
    assert detectable_difference(n=1, sd=0.02) is None


def test_seeds_needed_are_the_fewest_and_may_be_out_of_reach() -> None:
    claim = Claim("equivalent", 0.01)
    needed = seeds_needed(claim, sd=0.01, difference=0.0)
    assert needed is not None
    assert chances(claim, n=needed, sd=0.01, difference=0).decided >= 0.8
    assert chances(claim, n=needed - 1, sd=0.01, difference=0).decided < 0.8
    assert seeds_needed(Claim("greater", 0.01), sd=0.01, difference=0.01) is None


# Published values


def test_welchs_interval_is_scipys() -> None:
    interval = stats.ttest_ind(SLEEP_1, SLEEP_2[:6], equal_var=False).confidence_interval()
    a, b = np.array(SLEEP_1), np.array(SLEEP_2[:6])
    found = welch_interval(a.mean(), a.std(ddof=1), 10, b.mean(), b.std(ddof=1), 6)
    assert found == pytest.approx((interval.low, interval.high))


def test_a_percentile_counts_ties_half() -> None:
    assert percentile_among(0.9, [0.8, 0.9, 0.95, 0.97]) == 0.375
    assert percentile_among(0.5, [0.8]) == 0
    assert percentile_among(0.9, [0.8]) == 1


# Simulated ablations: a baseline and four variants that share seeds

NUM_ABLATIONS = 2000
SHARED_SD, OWN_SD = 0.003, 0.004
SD = math.sqrt(2) * OWN_SD  # of paired differences


def ablations(n: int, *effects: float) -> Array:
    """Accuracies, (ablations, variants, n): each seed moves all variants alike and each one on its own."""
    draw = np.random.default_rng(n)
    shared = draw.normal(0.9, SHARED_SD, (NUM_ABLATIONS, 1, n))
    own = draw.normal(0, OWN_SD, (NUM_ABLATIONS, len(effects), n))
    return shared + own + np.array(effects)[:, None]


@pytest.mark.parametrize("n", [5, 8, 12])
def test_hardly_any_verdict_of_a_family_is_wrong_when_nothing_differs(n: int) -> None:
    # with a margin of 0 either verdict is wrong; an equivalence can be refuted wrongly
    claims = [Claim("greater", 0.0), Claim("less", 0.0), Claim("greater", 0.0), Claim("equivalent", 0.01)]
    wrong = 0
    for baseline, *variants in ablations(n, 0, 0, 0, 0, 0):
        evidence = [
            claim.evidence(paired_difference(variant, baseline))
            for claim, variant in zip(claims, variants, strict=True)
        ]
        levels = holm_levels([weighed.p for weighed in evidence])
        verdicts = [weighed.decide(level) for weighed, level in zip(evidence, levels, strict=True)]
        wrong += any(verdict != "undecided" for verdict in verdicts[:3]) or verdicts[3] == "refuted"
    assert 0.01 < wrong / NUM_ABLATIONS <= 0.05


def verdicts_of_a_family(
    claims: list[Claim], variants: Array, baseline: Array, healthy: npt.NDArray[np.bool_]
) -> list[str]:
    """As a report gives them: each variant against the baseline, by ranks where a network of the two collapsed.

    Args:
        claims: one for each variant.
        variants: accuracies, (variants, n).
        baseline: accuracies, (n,).
        healthy: whether each network is, (1 + variants, n), the baseline's first.
    """
    tests: list[PairedDifference | ThreeParts] = [
        paired_difference(variant, baseline)
        if (sound & healthy[0]).all()
        else three_parts(variant, baseline, sound, healthy[0], margin=claim.margin, higher_is_better=True)
        for claim, variant, sound in zip(claims, variants, healthy[1:], strict=True)
    ]
    evidence = [
        claim.evidence(test.ranking if isinstance(test, ThreeParts) else test)
        for claim, test in zip(claims, tests, strict=True)
    ]
    levels = holm_levels([weighed.p for weighed in evidence])
    return [
        test.decide(claim, level) if isinstance(test, ThreeParts) else weighed.decide(level)
        for claim, test, weighed, level in zip(claims, tests, evidence, levels, strict=True)
    ]


FAMILY = [Claim("greater", 0.0), Claim("less", 0.0), Claim("greater", 0.01), Claim("equivalent", 0.01)]


@pytest.mark.parametrize("n", [5, 8, 12])
def test_hardly_any_verdict_of_a_family_is_wrong_when_all_collapse_alike(n: int) -> None:
    draw, wrong = np.random.default_rng(n), 0
    for baseline, *variants in ablations(n, 0, 0, 0, 0, 0):
        found = verdicts_of_a_family(FAMILY, np.array(variants), baseline, draw.random((5, n)) >= 0.1)
        wrong += (
            found[0] != "undecided" or found[1] != "undecided" or found[2] == "supported" or found[3] == "refuted"
        )
    assert wrong / NUM_ABLATIONS <= 0.05


@pytest.mark.parametrize("n", [5, 8, 12])
def test_hardly_any_verdict_of_a_family_is_wrong_when_the_variants_alone_collapse(n: int) -> None:
    # a tenth of their networks fails and none of the baseline's, and healthy ones do as well: they are not better,
    # and not as good either; that they are worse, or that it is a trade-off, would be true
    draw, wrong = np.random.default_rng(n), 0
    for baseline, *variants in ablations(n, 0, 0, 0, 0, 0):
        healthy = np.vstack([np.ones((1, n), dtype=bool), draw.random((4, n)) >= 0.1])
        found = verdicts_of_a_family(FAMILY, np.array(variants), baseline, healthy)
        collapsed = ~healthy[1:].all(axis=1)
        wrong += (
            found[0] == "supported"
            or found[1] == "refuted"
            or found[2] == "supported"
            or (found[3] == "supported" and bool(collapsed[3]))
        )
    assert wrong / NUM_ABLATIONS <= 0.05


@pytest.mark.parametrize("n", [6, 12, 40])
@pytest.mark.parametrize("share", [0.5, 0.8])
@pytest.mark.parametrize(
    ("effect", "wrong"),
    [
        (0.0, {"greater": {"supported"}, "less": {"supported"}, "equivalent": {"refuted"}}),
        (0.03, {"greater": {"refuted"}, "less": {"supported"}, "equivalent": {"supported"}}),
    ],
)
def test_hardly_any_verdict_is_wrong_when_most_networks_collapse(
    effect: float, wrong: dict[str, set[str]], share: float, n: int
) -> None:
    draw, times = np.random.default_rng(n), dict.fromkeys(EXPECTATIONS, 0)
    some = ablations(n, effect, 0)[:200]
    for a, b in some:
        healthy_a, healthy_b = draw.random((2, n)) >= share
        test = three_parts(a, b, healthy_a, healthy_b, margin=0.01, higher_is_better=True)
        for expect in EXPECTATIONS:
            verdict = test.decide(Claim(expect, 0.01), 0.05)  # type: ignore[arg-type]
            times[expect] += verdict in wrong[expect] | {"trade-off"}
    assert max(times.values()) / len(some) <= 0.05, times


@pytest.mark.parametrize("n", [5, 8, 12])
def test_intervals_cover_the_truth_with_collapse_as_without(n: int) -> None:
    draw = np.random.default_rng(n)
    whole, healthy, shares, with_interval = 0, 0, 0, 0
    for a, b in ablations(n, 0.02, 0):
        low, high = paired_difference(a, b).interval() or (math.nan, math.nan)
        whole += low <= 0.02 <= high
        lost = draw.random(n) < 0.1
        test = three_parts(a, b, ~lost, np.ones(n, dtype=bool), margin=0.01, higher_is_better=True)
        low, high = test.health.interval()
        shares += low <= -0.1 <= high
        given_healthy = test.given_healthy.interval() if test.given_healthy else None
        if given_healthy:
            with_interval += 1
            healthy += given_healthy[0] <= 0.02 <= given_healthy[1]
    assert whole / NUM_ABLATIONS >= 0.93
    assert healthy / with_interval >= 0.93
    assert shares / NUM_ABLATIONS >= 0.93


@pytest.mark.parametrize("n", [5, 8, 12])
@pytest.mark.parametrize(
    ("claim", "effect"),
    [
        (Claim("greater", 0.01), 0.018),
        (Claim("greater", 0.01), 0.003),
        (Claim("equivalent", 0.01), 0.0),
        (Claim("equivalent", 0.01), 0.018),
    ],
)
def test_power_is_as_foretold(claim: Claim, effect: float, n: int) -> None:
    evidence = [claim.evidence(paired_difference(a, b)) for a, b in ablations(n, effect, 0)]
    for alpha in (0.05, 0.05 / 4):
        verdicts = [weighed.decide(alpha) for weighed in evidence]
        foretold = chances(claim, n=n, sd=SD, difference=effect, alpha=alpha)
        assert verdicts.count("supported") / NUM_ABLATIONS == pytest.approx(foretold.supported, abs=0.04)
        assert verdicts.count("refuted") / NUM_ABLATIONS == pytest.approx(foretold.refuted, abs=0.04)


@pytest.mark.parametrize("n", [5, 8, 12])
def test_power_in_a_family_is_at_least_as_foretold_at_its_strictest_level(n: int) -> None:
    effects, decided = [0.008, -0.008, 0.018, 0.0], np.zeros(4)
    for baseline, *variants in ablations(n, 0, *effects):
        found = verdicts_of_a_family(FAMILY, np.array(variants), baseline, np.ones((5, n), dtype=bool))
        decided += [verdict != "undecided" for verdict in found]
    for claim, effect, share in zip(FAMILY, effects, decided / NUM_ABLATIONS, strict=True):
        assert share >= chances(claim, n=n, sd=SD, difference=effect, alpha=0.05 / 4).decided - 0.05


def test_more_seeds_detect_less() -> None:
    detected = [detectable_difference(n=n, sd=SD) or 0 for n in (2, 3, 5, 8, 12, 100)]
    assert all(fewer > more for fewer, more in pairwise(detected))
