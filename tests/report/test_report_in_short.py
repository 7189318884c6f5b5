from pathlib import Path
from typing import Any

from report_fixture import COLLAPSED, metrics, record, write_results

from nin_bench.analysis.verdicts import judge
from nin_bench.report.build import build_report
from nin_bench.report.in_short import MOST_LINES, Line, in_short
from nin_bench.results import load_results

HIGH, LOW = [0.912, 0.914, 0.909, 0.915, 0.910], [0.890, 0.894, 0.885, 0.893, 0.888]
CLOSE = [0.905, 0.921, 0.899, 0.911, 0.903]  # HIGH less this: .007 -.007 .010 .004 .007


def claim(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": name, "says": f"{name}.", "primary": True, "metric": "test_accuracy", "compare": ["a", "b"],
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


def test_what_was_found_is_told_claim_by_claim(tmp_path: Path) -> None:
    folder = written(
        tmp_path / "r",
        claim("A is smaller", metric="num_params", expect="less", margin=None, factor=2.0),
        claim("A is better"),
        claim("A beats a close one", compare=["a", "close"], primary=False),
        claim("A beats one that fails", compare=["a", "failing"]),
        claim("A is faster", metric="train_images_per_second", primary=False),
    )
    found = in_short(judge(load_results(folder)))
    assert found is not None
    assert found.primary == [
        # 0.022 ± 3.495 · 0.001414 / √5: the smaller p of two, so at half of 5 %
        Line("A is better", "supported", "2.20 points more test accuracy (97.5 % interval 1.98 to 2.42, n=5)"),
        Line(
            "A beats one that fails", "undecided",
            "held in 5 of 5 pairs of seeds (counted, as 1 network failed); 6 seeds in all would likely support it",
        ),
    ]  # fmt: skip
    close, faster = found.secondary
    # .0042 ± 2.776 · .006535 / √5
    assert close.found.startswith("0.4 points more test accuracy (95 % interval −0.4 to 1.2, n=5); ")
    assert close.found.endswith(" seeds in all would likely refute it")
    assert (faster.verdict, faster.found[:37]) == ("not testable", "training throughput was not measured ")
    assert found.counted == [Line("A is smaller", "supported", "0.100 times the parameters")]
    assert (found.num_left_out, found.names_seeds, found.caveats) == (0, True, [])


def test_what_was_counted_stands_apart_on_the_page(tmp_path: Path) -> None:
    smaller = claim("A | is smaller", metric="num_params", expect="less", margin=None, factor=2.0)
    page = build_report(written(tmp_path / "both", claim("A is better"), smaller), tmp_path / "out").read_text()
    assert (
        "**In short.** What the primary claims came to:\n\n"
        "- A is better: **supported**; 2.20 points more test accuracy (95 % interval 2.02 to 2.38, n=5).\n\n"
        "Counted, so known before any training:\n\n"
        "- A \\| is smaller: **supported**; 0.100 times the parameters.\n\n"
        "<details>\n<summary>How to read this</summary>\n"
    ) in page


def test_a_long_list_is_cut_and_says_so(tmp_path: Path) -> None:
    claims = [claim(f"{number}", primary=number > 2) for number in range(MOST_LINES + 2)]
    found = in_short(judge(load_results(written(tmp_path / "r", *claims))))
    assert found is not None
    assert [line.says for line in found.primary] == [str(number) for number in range(3, MOST_LINES + 2)]
    assert [line.says for line in found.secondary] == ["0"]
    assert found.num_left_out == 2


def test_what_no_number_of_seeds_would_decide_is_said(tmp_path: Path) -> None:
    variants = {"a": cells([0.91, 0.93, 0.92]), "b": cells([0.93, 0.91, 0.92])}
    folder = write_results(tmp_path / "r", variants, hypotheses=[claim("A is better", margin=0.0)])
    found = in_short(judge(load_results(folder)))
    assert found is not None
    assert found.primary[0].found.endswith("; not even 1,000 seeds would decide it")
    assert not found.names_seeds


def test_a_claim_on_the_gap_warns_of_learning_less(tmp_path: Path) -> None:
    found = in_short(judge(load_results(written(tmp_path / "r", claim("gap", metric="generalisation_gap")))))
    assert found is not None
    [caveat] = found.caveats
    assert caveat.startswith("A network that learned less has a smaller generalisation gap")


def test_without_claims_there_is_nothing_to_sum_up() -> None:
    assert in_short([]) is None
