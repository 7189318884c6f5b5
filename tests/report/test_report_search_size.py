from pathlib import Path
from statistics import NormalDist
from typing import Any

import pytest
from search_fixture import sweep, write_search

from nin_bench.analysis.search.studies import read_search
from nin_bench.report.search.build import Findings, describe
from nin_bench.report.search.size import SizeAndEase

RATES = [0.01, 0.1, 1.0]


def found(folder: Path, num_failing: list[int], **settings: Any) -> Findings:
    """Of variants that differ in how many of three rates they do not learn at; the second has the peak."""
    curves = [[0.899, 0.9, 0.899], [0.899, 0.9, 0.1], [0.1, 0.9, 0.1]]
    studies = {f"v{number}": sweep(curves[failing], RATES) for number, failing in enumerate(num_failing)}
    return Findings.of(read_search(write_search(folder, studies, **settings)))


def said(findings: Findings) -> str:
    sentence: str = describe(findings, [])["ease_of_tuning"][0]
    return sentence


def test_pairs_of_variants_are_counted_by_chance(tmp_path: Path) -> None:
    # 1,000 to 5,000 parameters; of the ten pairs, those of equal ease (1-2, 3-4) are none of either
    findings = found(tmp_path / "s", [0, 1, 1, 2, 2])
    [chance] = (
        findings.sizes
    )  # where seeds fail all around, no width is known well enough to be set beside another
    assert (chance.measure, chance.num_variants) == ("chance", 5)
    assert (chance.easier, chance.harder, chance.untold) == (8, 0, 0)
    assert chance.tau == pytest.approx(8 / (10 * 8) ** 0.5)  # τ-b: of 10 pairs, 8 differ in ease


def test_widths_within_bounds_order_only_the_pairs_that_they_part(tmp_path: Path) -> None:
    # ≥ 2, 1, .5 to 1.5, .5 and .25 to 1.25 decades: the first is wider than the others, and 1 wider than .5
    curves = [[0.895, 0.9, 0.895], [0.88, 0.9, 0.88], [0.88, 0.9, 0.1], [0.86, 0.9, 0.86], [0.86, 0.9, 0.1]]
    studies = {f"v{number}": sweep(curve, RATES) for number, curve in enumerate(curves)}
    findings = Findings.of(read_search(write_search(tmp_path / "s", studies)))
    width = findings.sizes[0]
    assert (width.measure, width.easier, width.harder, width.untold) == ("width", 5, 0, 5)
    assert width.tau == pytest.approx(5 / (10 * 5) ** 0.5)
    # S = 10 over both turns of each pair; Kendall's variance 4 · 20 · 12 / 60 + 2 · 20 · 10 / 20 = 36
    assert width.p == pytest.approx(2 * (1 - NormalDist().cdf(10 / 6)))
    assert "in 5 and the narrower in 0; 5 are open, as widths are known within bounds (Kendall's" in said(findings)


def test_which_curve_is_the_widest_is_said_as_far_as_it_is_known(tmp_path: Path) -> None:
    curves = {"a": [0.88, 0.9, 0.1], "b": [0.88, 0.9, 0.88], "c": [0.86, 0.9, 0.86]}
    studies = {name: sweep(curve, RATES) for name, curve in curves.items()}
    findings = Findings.of(read_search(write_search(tmp_path / "s", studies)))
    assert describe(findings, [])["ease_of_tuning"][1] == (
        "Which curve is the widest within one point of its peak is not known; it may be that of a, 0.50–1.50 "
        "decades; b, 1.00 decades. Which curve is the narrowest within one point of its peak is not known; it may "
        "be that of a, 0.50–1.50 decades; c, 0.50 decades."
    )


def test_the_claim_of_ease_sets_the_baseline_beside_larger_networks_of_another_kind(tmp_path: Path) -> None:
    curves = {"nin": [0.86, 0.9, 0.86], "nin head=fc": [0.1, 0.9, 0.1], "alexnet": [0.88, 0.9, 0.1],
              "vgg11": [0.88, 0.9, 0.88]}  # fmt: skip
    studies = {name: sweep(curve, RATES) for name, curve in curves.items()}
    search = read_search(write_search(tmp_path / "s", studies, baseline="v00"))
    claim = describe(Findings.of(search), [])["claim_of_ease"]
    assert claim.startswith(
        "“With few parameters it is easy to tune,” the notebooks say of NiN. The baseline here is "
    )
    assert "nin (1,000 parameters, 0.50 decades wide, learns at 100 % of the range, 95 % interval " in claim
    assert "the larger networks of other kinds are alexnet (3,000 parameters, 0.50–1.50 decades wide, " in claim
    assert "head=fc" not in claim
    assert "Its curve is wider than that of 0 of these 2, and narrower than that of 1." in claim
    assert claim.endswith(
        "It is likelier to learn at a rate drawn at random than 1, and less likely than 0; the intervals overlap: "
        "so few rates do not tell."
    )


@pytest.mark.parametrize("baseline", [None, "v01"])
def test_without_a_baseline_or_a_larger_network_nothing_is_claimed(tmp_path: Path, baseline: str | None) -> None:
    studies = {name: sweep([0.86, 0.9, 0.86], RATES) for name in ("alexnet", "nin")}
    search = read_search(write_search(tmp_path / "s", studies, baseline=baseline))
    assert describe(Findings.of(search), [])["claim_of_ease"] is None


def test_without_ties_the_p_value_is_exact(tmp_path: Path) -> None:
    curves = [[0.899, 0.9 + step / 100, 0.5] for step in range(5)]  # the higher the peak, the narrower
    studies = {f"v{number}": sweep(curve, RATES) for number, curve in enumerate(curves)}
    findings = Findings.of(read_search(write_search(tmp_path / "s", studies)))
    # one order of 120, or its reverse; all learn at as many rates
    assert findings.sizes == [SizeAndEase("width", 5, 10, 0, 0, pytest.approx(1.0), pytest.approx(2 / 120))]
    assert said(findings) == (
        "Do few parameters make tuning easy? Of 10 pairs of variants, the one with fewer has the wider curve in "
        "10 and the narrower in 0 (Kendall's τ +1.00, p = 0.02, n=5): more "
        "than luck would often give, so that here few parameters go with ease. The variants differ in more than "
        "their number of parameters, and are no sample of networks: this tells of them alone."
    )


def test_what_luck_would_often_give_tells_nothing(tmp_path: Path) -> None:
    sentence = said(found(tmp_path / "s", [0, 2, 1, 0, 2, 1]))
    assert sentence.startswith("Do few parameters make tuning easy? These variants do not tell. Of 15 pairs of ")
    assert "the one with fewer is likelier to learn at a learning rate drawn at random in 7 and less " in sentence
    assert sentence.count(": no more than luck would often give.") == 1


@pytest.mark.parametrize(
    ("num_failing", "settings"),
    [
        ([0, 1, 2, 2], {}),
        ([1, 1, 1, 1, 1], {}),
        ([0, 1, 1, 2, 2], {"num_params": dict.fromkeys(["v0", "v1", "v2", "v3", "v4"], 1_000)}),
        ([0, 1, 1, 2, 2], {"num_params": {"v2": None}}),
    ],
    ids=["few variants", "all alike", "of one size", "a size not known"],
)
def test_too_little_to_tell_is_said(tmp_path: Path, num_failing: list[int], settings: dict[str, Any]) -> None:
    findings = found(tmp_path / "s", num_failing, **settings)
    assert findings.sizes == []
    assert said(findings).startswith("Do few parameters make tuning easy? Not to be told: it takes 5 variants or ")


def test_of_one_variant_it_is_not_asked(tmp_path: Path) -> None:
    assert describe(found(tmp_path / "s", [1]), [])["ease_of_tuning"] == []
