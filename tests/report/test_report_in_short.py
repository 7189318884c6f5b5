from pathlib import Path
from typing import Any

from report_fixture import COLLAPSED, metrics, record, write_results

from nin_bench.analysis.names import Names
from nin_bench.analysis.verdicts import judge
from nin_bench.report.build import build_report
from nin_bench.report.in_short import MOST_LINES, InShort, Line, in_short
from nin_bench.results import load_results

HIGH, LOW = [0.912, 0.914, 0.909, 0.915, 0.910] * 2, [0.890, 0.894, 0.885, 0.893, 0.888] * 2
CLOSE = [0.905, 0.921, 0.899, 0.911, 0.903] * 2  # HIGH less this: .007 -.007 .010 .004 .007


def claim(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": name, "claim": f"{name}.", "primary": True, "metric": "test_accuracy", "compare": ["a", "b"],
        "expect": "greater", "margin": 0.01, "factor": None, **changes,
    }  # fmt: skip


def cells(accuracies: list[float], **others: Any) -> list[dict[str, Any] | None]:
    return [record(metrics=metrics(accuracy, **others)) for accuracy in accuracies]


def written(folder: Path, *claims: dict[str, Any]) -> Path:
    failed = record(metrics=metrics(0.1, **COLLAPSED))
    variants = {
        "a": cells(HIGH, num_params=100),
        "b": cells(LOW, num_params=1000),
        "close": cells(CLOSE),
        "failing": [failed, *cells(LOW)[1:]],
    }
    return write_results(folder, variants, hypotheses=list(claims))


def summed(folder: Path, *claims: dict[str, Any]) -> InShort:
    results = load_results(written(folder, *claims))
    found = in_short(judge(results), Names.of(results.grid.variants))
    assert found is not None
    return found


def test_what_was_found_is_told_claim_by_claim(tmp_path: Path) -> None:
    found = summed(
        tmp_path / "r",
        claim("A is smaller", metric="num_params", expect="less", margin=None, factor=2.0),
        claim("A is better"),
        claim("A beats a close one", compare=["a", "close"], primary=False),
        claim("A is faster", metric="train_images_per_second", primary=False),
    )
    assert found.primary == [Line("A is better", "supported", "a has 2.20 points more test accuracy than b")]
    assert [line.verdict for line in found.secondary] == ["refuted", "not testable"]
    assert found.counted == [Line("A is smaller", "supported", "a has 0.100 times the parameters of b")]
    assert (found.num_left_out, found.caveats) == (0, [])


def test_what_was_counted_stands_apart_on_the_page(tmp_path: Path) -> None:
    smaller = claim("A | is smaller", metric="num_params", expect="less", margin=None, factor=2.0)
    page = build_report(written(tmp_path / "both", claim("A is better"), smaller), tmp_path / "out").read_text()
    assert (
        "**In short.** What the primary claims came to:\n\n"
        "- A is better: **supported**. a has 2.20 points more test accuracy than b.\n\n"
        "Counted, so known before any training:\n\n"
        "- A \\| is smaller: **supported**. a has 0.100 times the parameters of b.\n\n"
        "<details>\n<summary>How to read this</summary>\n"
    ) in page


def test_a_long_list_is_cut_and_says_so(tmp_path: Path) -> None:
    claims = [claim(f"{number}", primary=number > 2) for number in range(MOST_LINES + 2)]
    found = summed(tmp_path / "r", *claims)
    assert [line.says for line in found.primary] == [str(number) for number in range(3, MOST_LINES + 2)]
    assert [line.says for line in found.secondary] == ["0"]
    assert found.num_left_out == 2


def test_a_claim_on_the_gap_warns_of_learning_less(tmp_path: Path) -> None:
    found = summed(tmp_path / "r", claim("gap", metric="generalisation_gap"))
    [caveat] = found.caveats
    assert caveat.startswith("A smaller gap can also mean")


def test_without_claims_there_is_nothing_to_sum_up() -> None:
    assert in_short([], Names.of([])) is None
