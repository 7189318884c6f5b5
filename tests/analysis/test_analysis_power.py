import math

import pytest
from scipy import stats

from nin_bench.analysis.power import foresee
from nin_bench.cli.prospects import MoreSeeds, more_seeds
from nin_bench.estimates import Estimate
from nin_bench.plan import PlannedCell
from nin_bench.stats import Claim, chances

SIDES = "compare: [{hidden: 16}, {hidden: 32}]"
SD = math.sqrt(2) * 0.01


def claim(id_: str, metric: str = "test_accuracy", expect: str = "greater", **others: object) -> str:
    fields = {"id": id_, "says": "it is so", "metric": metric, "expect": expect, **({"margin": 0.01} | others)}
    told = ", ".join(f"{key}: {str(value).lower()}" for key, value in fields.items() if value is not None)
    return f"{{{told}, {SIDES}}}"


def test_the_chances_are_those_of_the_t_test_at_holm_s_first_step(load):
    grid = load(
        claim("a", primary=True), claim("b", primary=True), claim("c"), claim("d", "num_params", primary=True)
    )
    a, b, c, d = foresee(grid, [])
    assert (a.level, b.level, c.level) == (
        0.025,
        0.025,
        0.05,
    )  # a count is no test, and takes no share of the error
    (outlook,) = a.outlooks
    assert (outlook.truth, outlook.why) == (0.02, "twice the margin")
    # noncentral t: 0.01 beyond the margin, 8 pairs
    beyond = 0.01 / SD * math.sqrt(8)
    assert outlook.supported == pytest.approx(stats.nct.sf(stats.t.isf(0.0125, 7), 7, beyond))
    assert outlook.decided == outlook.supported + outlook.refuted
    assert c.outlooks[0].supported > outlook.supported
    assert d.untested == "no seed changes it: two counts decide"


def test_what_can_be_detected_is_detected_as_often_as_said(load):
    (found,) = foresee(load(claim("a", primary=True)), [])
    assert found.detectable == pytest.approx(found.detectable_sds * SD)
    met = chances(Claim("greater", 0.01), n=8, sd=SD, difference=0.01 + found.detectable)
    assert met.supported == pytest.approx(0.8)


def test_so_many_seeds_do_and_one_fewer_does_not(load):
    (found,) = foresee(load(claim("a", primary=True)), [])
    needed = found.outlooks[0].seeds_needed
    enough, short = (foresee(load(claim("a", primary=True), seeds=n), [])[0] for n in (needed, needed - 1))
    assert enough.can_decide
    assert not short.can_decide
    assert not found.can_decide


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
    (found,) = foresee(load(hypothesis), [])
    assert (found.outlooks[0].truth, found.outlooks[0].why) == (pytest.approx(truth), why)
    assert found.outlooks[0].supported > found.outlooks[0].refuted


def test_the_pilot_s_own_difference_is_supposed_as_well(load, pilot):
    (found,) = foresee(load(), [pilot([0.91, 0.93, 0.95], [0.90, 0.90, 0.90])])
    assert [outlook.why for outlook in found.outlooks] == ["twice the margin", "as in the pilot"]
    assert found.outlooks[1].truth == pytest.approx(0.03)


def test_a_factor_is_said_as_a_factor(load):
    more = "assume: {test_loss: {sd: 0.1}}\n"
    (found,) = foresee(load(claim("a", "test_loss", margin=None, factor=2), more=more), [])
    assert found.factor
    assert found.outlooks[0].truth == pytest.approx(4)
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
    (found,) = foresee(load(claim("a", metric)), [])
    assert (found.untested, found.outlooks, found.can_decide) == (reason, (), False)
    assert (found.least_pairs is not None) == (metric == "escaped")


def test_only_seeds_planned_for_both_count(load):
    grid = load(claim("a"), more="exclude: [{hidden: 16, seed: [0, 1]}, {hidden: 32, seed: [1, 2]}]\n")
    assert foresee(grid, [])[0].num_seeds == 5


def test_ranks_decide_from_six_pairs_on_and_later_in_a_family(load):
    alone, *_ = foresee(load(claim("a")), [])
    first, *_ = foresee(load(*(claim(name, primary=True) for name in "abcde")), [])
    assert (alone.least_pairs, first.least_pairs) == (6, 8)


def test_one_seed_detects_nothing(load):
    (found,) = foresee(load(claim("a"), seeds=1), [])
    assert (found.detectable, found.detectable_sds, found.outlooks[0].decided) == (None, None, 0)


def test_more_seeds_are_told_with_what_they_take(load):
    grid = load(claim("near", primary=True), claim("far", primary=True, margin=0.005), claim("now", margin=0.1))
    near, far, now = foresee(grid, [])
    assert now.can_decide
    planned = [PlannedCell(cell, "missing", estimate=Estimate(seconds=60)) for cell in grid.cells]
    n_near, n_far = (prospect.outlooks[0].seeds_needed for prospect in (near, far))
    # two variants on two workers: a minute for every further seed
    assert more_seeds([near, far, now], planned, num_workers=2) == [
        MoreSeeds(n_near, 2, 60 * (n_near - 8)), MoreSeeds(n_far, 3, 60 * (n_far - 8)),
    ]  # fmt: skip
    unknown = [PlannedCell(cell, "missing") for cell in grid.cells]
    assert [step.seconds for step in more_seeds([near], unknown, num_workers=2)] == [None]


def test_what_no_thousand_seeds_decide_costs_nothing(load):
    (found,) = foresee(load(claim("a", margin=1.0e-4)), [])
    assert found.outlooks[0].seeds_needed is None
    assert more_seeds([found], [], num_workers=1) == []
