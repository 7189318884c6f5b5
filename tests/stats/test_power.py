"""Chances of a verdict against the tests themselves, on data drawn apart."""

import numpy as np
import pytest

from nin_bench.stats.claims import Claim
from nin_bench.stats.looks import Look, looks
from nin_bench.stats.paired_test import paired_test
from nin_bench.stats.power import Failing, chances, detectable_difference

NUM_REPEATS = 1_500


def decided(claim: Claim, at: list[Look], difference: float, level: float, failing: Failing) -> tuple[float, ...]:
    """Shares supported and refuted, and the seeds it took, of experiments with deviation 1."""
    draw, verdicts, pairs = np.random.default_rng(1), [], []
    for _ in range(NUM_REPEATS):
        healthy = difference + draw.normal(size=at[-1].n)
        fails_a, fails_b = (draw.random(at[-1].n) < share for share in (failing.a, failing.b))
        found = np.select([fails_a & fails_b, fails_a, fails_b], [0, -75, 75], healthy)
        for look in at:
            heavy_tailed = bool((fails_a | fails_b)[: look.n].any())
            test = paired_test(found[: look.n], heavy_tailed=heavy_tailed)
            verdict = claim.decide(test.interval(level * look.share))
            if verdict != "undecided":
                break
        verdicts.append(verdict)
        pairs.append(look.n)
    return verdicts.count("supported") / NUM_REPEATS, verdicts.count("refuted") / NUM_REPEATS, np.mean(pairs)


@pytest.mark.parametrize(
    ("claim", "difference"),
    [
        (Claim("greater", 1.0), 2.0),
        (Claim("greater", 1.0), 0.2),
        (Claim("less", 1.0), -0.2),
        (Claim("equivalent", 1.0), 0.0),
        (Claim("equivalent", 0.3), 1.2),
    ],
)
@pytest.mark.parametrize("failing", [Failing(), Failing(a=0.1), Failing(a=0.05, b=0.15)])
def test_chances_are_those_of_the_test_that_judges(claim: Claim, difference: float, failing: Failing) -> None:
    at = [Look(16, 1.0)]
    supported, refuted, _ = decided(claim, at, difference, 0.025, failing)
    found = chances(claim, looks=at, sd=1.0, difference=difference, level=0.025, failing=failing)
    assert found.supported == pytest.approx(supported, abs=0.04)
    assert found.refuted == pytest.approx(refuted, abs=0.04)


def test_looks_decide_as_often_and_sooner() -> None:
    claim, fixed = Claim("greater", 0.0), [Look(24, 1.0)]
    supported, refuted, pairs = decided(claim, looks(24), 0.8, 0.05, Failing())
    found = chances(claim, looks=looks(24), sd=1.0, difference=0.8, level=0.05)
    assert (found.supported, found.refuted) == pytest.approx((supported, refuted), abs=0.04)
    assert found.expected_pairs == pytest.approx(pairs, abs=0.4)
    assert found.decided >= chances(claim, looks=fixed, sd=1.0, difference=0.8).decided - 0.03
    assert found.expected_pairs < 20


def test_the_design_s_power() -> None:
    # 20 seeds, deviation 1 point, level 1.25 %: equivalence within 1 point; the t-test has 89 %
    found = chances(Claim("equivalent", 1.0), looks=[Look(20, 1.0)], sd=1.0, difference=0.0, level=0.0125)
    assert found.supported == pytest.approx(0.87, abs=0.015)


@pytest.mark.parametrize(("n", "level"), [(6, 0.05), (12, 0.05), (20, 0.0125), (80, 0.05)])
def test_the_detectable_difference_is_detected_four_times_in_five(n: int, level: float) -> None:
    found = detectable_difference(n=n, sd=2.0, level=level)
    assert found is not None
    at = [Look(n, 1.0)]
    power = chances(Claim("greater", 1.0), looks=at, sd=2.0, difference=1.0 + found, level=level)
    assert power.supported == pytest.approx(0.8, abs=0.001)


def test_five_seeds_detect_nothing() -> None:
    assert detectable_difference(n=5, sd=1.0) is None
    found = chances(Claim("greater", 0.0), looks=[Look(5, 1.0)], sd=1.0, difference=9.0)
    assert (found.supported, found.refuted) == (0, 0)
    signs = chances(Claim("equivalent", 9.0), looks=[Look(5, 1.0)], sd=1.0, difference=0.0, failing=Failing(a=0.1))
    assert signs.decided == 0


def test_a_failed_network_is_worse_whichever_way_better_lies() -> None:
    claim, at, failing = Claim("less", 0.5), [Look(20, 1.0)], Failing(b=0.2)
    of_losses = chances(claim, looks=at, sd=1.0, difference=-1.0, failing=failing, higher_is_better=False)
    mirrored = chances(Claim("greater", 0.5), looks=at, sd=1.0, difference=1.0, failing=failing)
    assert of_losses.supported == pytest.approx(mirrored.supported, abs=0.02)


def test_looks_share_a_level() -> None:
    assert looks(24) == [Look(12, 0.10), Look(18, 0.05), Look(24, 0.85)]
    assert [look.n for look in looks(10)] == [5, 8, 10]
    for at_most in range(1, 40):
        found = looks(at_most)
        assert found[-1].n == at_most
        assert sum(look.share for look in found) == pytest.approx(1)
        assert sorted({look.n for look in found}) == [look.n for look in found]
