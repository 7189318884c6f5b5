from pathlib import Path
from typing import Any

import pytest

from nin_bench.analysis.analysis import Analysis, analyse
from nin_bench.reporting.figures import figures_of
from nin_bench.reporting.figures.effects import effect_rows
from nin_bench.results import load_results
from tests.figure_words import words
from tests.report_fixture import metrics, record, write_results

HIGH, LOW = [0.912, 0.914, 0.909, 0.915, 0.910] * 2, [0.890, 0.894, 0.885, 0.893, 0.888] * 2


def claim(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": name, "claim": "A is better.", "primary": True, "metric": "test_accuracy", "compare": ["a", "b"],
        "expect": "greater", "margin": 0.01, "factor": None, **changes,
    }  # fmt: skip


def judged(folder: Path, *hypotheses: dict[str, Any], **variants: list[dict[str, Any] | None]) -> Analysis:
    return analyse(load_results(write_results(folder, variants, hypotheses=list(hypotheses))))


def cells(accuracies: list[float], **others: Any) -> list[dict[str, Any] | None]:
    return [record(metrics=metrics(accuracy, **others)) for accuracy in accuracies]


CLAIMS = [
    claim("better"),
    claim("no-worse", expect="equivalent", margin=0.03),
    claim("smaller", metric="num_params", expect="less", margin=None, factor=2.0, primary=False),
    claim("faster", metric="train_images_per_second", primary=False),
]


@pytest.fixture
def analysis(tmp_path: Path) -> Analysis:
    return judged(tmp_path / "r", *CLAIMS, a=cells(HIGH, num_params=100), b=cells(LOW, num_params=1000))


def test_a_row_holds_the_effect_and_what_decides(analysis: Analysis) -> None:
    better, no_worse, smaller = effect_rows(analysis.hypotheses)
    assert (better.panel, better.value) == ("difference A − B, points", pytest.approx(0.022))
    assert (better.interval, better.holds, better.decides) == (
        analysis.hypotheses[0].interval, (0.01, None), (0.01,),
    )  # fmt: skip
    assert no_worse.holds == no_worse.decides == (-0.03, 0.03)
    assert (smaller.panel, smaller.value, smaller.interval) == ("factor, A / B", 0.1, None)
    assert (smaller.holds, smaller.decides) == ((None, 0.5), (0.5,))


def test_the_figure_names_every_verdict_and_every_claim_that_it_leaves_out(analysis: Analysis) -> None:
    drawing = figures_of(analysis)["effects"]
    said = words(drawing)
    assert said.count("supported, n=10") == 2
    assert said.count("supported, exact") == 1  # parameters, which no pair is needed for
    assert {"better", "a − b"} <= set(said)
    assert "faster" not in said
    assert "Without an effect to show: faster." in drawing.caption
    [[better], [_], [smaller]] = drawing.canvas.marks.values()
    assert better.says.startswith("better: supported, n=10. +2.2")
    assert smaller.says == "smaller: supported, exact. ×0.1, of a and b"


def test_without_an_effect_there_is_no_figure(tmp_path: Path) -> None:
    assert "effects" not in figures_of(judged(tmp_path / "r", CLAIMS[3], a=cells(HIGH), b=cells(LOW)))
