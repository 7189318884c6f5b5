import math

import pytest

from nin_bench.analysis.power import power_analysis
from nin_bench.stats.claims import Claim
from nin_bench.stats.looks import Look
from nin_bench.stats.power import Failing, chances

SIDES = "compare: [{hidden: 16}, {hidden: 32}]"
SD = math.sqrt(2) * 0.01


def claim(id_: str, metric: str = "test_accuracy", expect: str = "greater", **others: object) -> str:
    fields = {"id": id_, "says": "it is so", "metric": metric, "expect": expect, **({"margin": 0.01} | others)}
    told = ", ".join(f"{key}: {str(value).lower()}" for key, value in fields.items() if value is not None)
    return f"{{{told}, {SIDES}}}"


def test_the_chances_are_those_of_the_exact_test_at_the_family_s_level(load):
    grid = load(
        claim("a", primary=True), claim("b", primary=True), claim("c"), claim("d", "num_params", primary=True)
    )
    a, b, c, d = power_analysis(grid, [])
    # a count is no test, and takes no share of the level
    assert (a.level, b.level, c.level) == (0.025, 0.025, 0.05)
    (scenario,) = a.scenarios
    assert (scenario.truth, scenario.why) == (0.02, "twice the margin")
    met = chances(Claim("greater", 0.01), looks=[Look(8, 1.0)], sd=SD, difference=0.02, level=0.025)
    assert (scenario.supported, scenario.decided) == (met.supported, met.decided)
    assert c.scenarios[0].supported > scenario.supported
    assert d.untested == "no seed changes it: two counts decide"


def test_what_can_be_detected_is_detected_as_often_as_said(load):
    (found,) = power_analysis(load(claim("a", primary=True)), [])
    assert found.detectable == pytest.approx(found.detectable_sds * SD)
    met = chances(Claim("greater", 0.01), looks=[Look(8, 1.0)], sd=SD, difference=0.01 + found.detectable)
    assert met.supported == pytest.approx(0.8, abs=0.001)


@pytest.mark.parametrize(
    ("hypothesis", "truth", "why"),
    [
        (claim("a", expect="greater"), 0.02, "twice the margin"),
        (claim("a", expect="less"), -0.02, "twice the margin"),
        (claim("a", expect="equivalent"), 0, "no difference"),
        (claim("a", expect="less", margin=0), -SD, "one standard deviation"),
    ],
)
def test_the_truth_that_is_supposed_suits_the_claim(load, hypothesis, truth, why):
    (found,) = power_analysis(load(hypothesis, seeds=40), [])
    assert (found.scenarios[0].truth, found.scenarios[0].why) == (pytest.approx(truth), why)
    assert found.scenarios[0].supported > found.scenarios[0].refuted


def test_the_pilot_s_own_difference_is_supposed_as_well(load, pilot):
    (found,) = power_analysis(load(), [pilot([0.91, 0.93, 0.95], [0.90, 0.90, 0.90])])
    assert [scenario.why for scenario in found.scenarios] == ["twice the margin", "as in the pilot"]
    assert found.scenarios[1].truth == pytest.approx(0.03)


def test_networks_that_failed_in_the_pilot_are_reckoned_with(load, pilot):
    a, b = [0.91, 0.93, 0.95, 0.93], [0.90] * 4
    grid = load(seeds=12)
    (sound,), (failing,) = (power_analysis(grid, [pilot([*a, end], [*b, 0.9], name)]) for end, name in
                            [(0.93, "sound"), (None, "failing")])  # fmt: skip
    assert failing.failures.shares == (0.2, 0)
    met = chances(
        Claim("greater", 0.01),
        looks=[Look(12, 1.0)],
        sd=failing.spread.sd,
        difference=0.02,
        failing=Failing(a=0.2),
    )
    assert failing.scenarios[0].supported == met.supported < sound.scenarios[0].supported


def test_a_factor_is_said_as_a_factor(load):
    more = "assume: {test_loss: {sd: 0.1}}\n"
    (found,) = power_analysis(load(claim("a", "test_loss", margin=None, factor=2), more=more), [])
    assert found.factor
    assert found.scenarios[0].truth == pytest.approx(4)
    assert math.log(found.detectable) == pytest.approx(found.detectable_sds * 0.1 * math.sqrt(2))


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        ("num_macs", "no seed changes it: two counts decide"),
        ("train_seconds", "not testable: seen while cells train side by side"),
        ("train_images_per_second", "decided by rounds of measuring, to which seeds add nothing"),
        ("escaped", "shares are decided by exact tests"),
    ],
)
def test_what_seeds_do_not_decide_is_said(load, metric, reason):
    (found,) = power_analysis(load(claim("a", metric)), [])
    assert (found.untested, found.scenarios, found.can_decide) == (reason, (), False)


def test_claims_of_other_forms_have_their_chances_too(load):
    interaction = claim("a").replace(SIDES, f"{SIDES}, minus: [{{hidden: 32}}, {{hidden: 16}}]")
    kinds = claim("b", "train_seconds").replace(SIDES, "of: {hidden: 16}, kinds: [dense, other]")
    one, other = power_analysis(load(interaction, kinds), [])
    assert (one.num_seeds, one.untested) == (8, None)
    assert one.scenarios[0].decided > 0
    assert other.untested == "decided by rounds of measuring, to which seeds add nothing"


def test_only_seeds_planned_for_both_count(load):
    grid = load(claim("a"), more="exclude: [{hidden: 16, seed: [0, 1]}, {hidden: 32, seed: [1, 2]}]\n")
    assert power_analysis(grid, [])[0].num_seeds == 5


def test_five_seeds_decide_nothing_and_in_a_family_it_takes_more_than_six(load):
    five, six = (power_analysis(load(claim("a"), seeds=n), [])[0] for n in (5, 6))
    assert (five.least_pairs, five.detectable, five.detectable_sds) == (6, None, None)
    assert (five.scenarios[0].decided, five.can_decide) == (0, False)
    assert six.scenarios[0].decided > 0
    first, *_ = power_analysis(load(*(claim(name, primary=True) for name in "abcde")), [])
    assert first.least_pairs == 8


def test_seeds_until_decided_are_fewer_on_average_and_decide_as_often(load):
    once = load(claim("a", primary=True), seeds=24)
    until = load(claim("a", primary=True), seeds="{until: decided, at_most: 24}")
    (at_once,), (in_looks,) = (power_analysis(grid, [])[0].scenarios for grid in (once, until))
    assert (at_once.expected_seeds, once.until_decided) == (24, None)
    assert 12 < in_looks.expected_seeds < 23
    assert in_looks.decided == pytest.approx(at_once.decided, abs=0.03)


@pytest.mark.parametrize("seeds", [4, "{until: decided, at_most: 8}"])
def test_a_claim_whose_variants_share_no_seed_is_not_testable(load, seeds):
    exclude = "exclude:\n" + "".join(
        f"  - {{hidden: {hidden}, seed: {seed}}}\n" for hidden, kept in ((16, {0, 1}), (32, {2, 3}))
        for seed in set(range(4 if seeds == 4 else 8)) - kept
    )  # fmt: skip
    (found,) = power_analysis(load(claim("a", primary=True), seeds=seeds, more=exclude), [])
    assert (found.num_seeds, found.untested) == (0, "not testable: its variants have no common seed")


def test_a_claim_that_no_cell_can_answer_has_no_chances(load):
    (found,) = power_analysis(load(claim("a")), [], {"a": "not testable: so it is"})
    assert (found.untested, found.scenarios, found.can_decide) == ("not testable: so it is", (), False)
