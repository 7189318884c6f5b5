from pathlib import Path
from typing import Any

import pytest
from search_fixture import sweep, write_search

from nin_bench.report.search.build import Findings, describe
from nin_bench.report.search.size import SizeAndEase
from nin_bench.report.search.studies import read_search

RATES = [0.01, 0.1, 1.0]


def found(folder: Path, num_failing: list[int], **settings: Any) -> Findings:
    """Of variants that differ in how many of three rates they do not learn at; the second has the peak."""
    curves = [[0.899, 0.9, 0.899], [0.899, 0.9, 0.1], [0.1, 0.9, 0.1]]
    studies = {f"v{number}": sweep(curves[failing], RATES) for number, failing in enumerate(num_failing)}
    return Findings.of(read_search(write_search(folder, studies, **settings)))


def said(findings: Findings) -> str:
    sentence: str = describe(findings, [])["ease_of_tuning"][-1]
    return sentence


def test_pairs_of_variants_are_counted_by_width_and_chance(tmp_path: Path) -> None:
    # 1,000 to 5,000 parameters; of the ten pairs, those of equal ease (1-2, 3-4) are none of either
    findings = found(tmp_path / "s", [0, 1, 1, 2, 2])
    width, chance = findings.sizes
    assert (width.measure, width.num_variants, width.easier, width.harder) == ("width", 5, 8, 0)
    assert (chance.measure, chance.num_variants, chance.easier, chance.harder) == ("chance", 5, 8, 0)
    assert width.tau == chance.tau == pytest.approx(8 / (10 * 8) ** 0.5)  # τ-b: of 10 pairs, 8 differ in ease
    assert width.num_at_least == 3
    assert chance.num_at_least == 0


def test_without_ties_the_p_value_is_exact(tmp_path: Path) -> None:
    curves = [[0.899, 0.9 + step / 100, 0.1] for step in range(5)]  # the higher the peak, the narrower
    studies = {f"v{number}": sweep(curve, RATES) for number, curve in enumerate(curves)}
    findings = Findings.of(read_search(write_search(tmp_path / "s", studies)))
    # one order of 120, or its reverse; all learn at as many rates
    assert findings.sizes == [SizeAndEase("width", 5, 10, 0, pytest.approx(1.0), pytest.approx(2 / 120), 1)]
    assert said(findings) == (
        "Do few parameters make tuning easy? Of 10 pairs of variants, the one with fewer has the wider curve in "
        "10 and the narrower in 0 (Kendall's τ +1.00, p = 0.02, n=5, with 1 of the widths lower bounds): more "
        "than luck would often give, so that here few parameters go with ease. The variants differ in more than "
        "their number of parameters, and are no sample of networks: this tells of them alone."
    )


def test_what_luck_would_often_give_tells_nothing(tmp_path: Path) -> None:
    sentence = said(found(tmp_path / "s", [0, 2, 1, 0, 2, 1]))
    assert sentence.startswith("Do few parameters make tuning easy? These variants do not tell. Of 15 pairs of ")
    assert "the one with fewer is likelier to learn at a learning rate drawn at random in 7 and less " in sentence
    assert sentence.count(": no more than luck would often give.") == 2


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
