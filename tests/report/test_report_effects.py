from pathlib import Path
from typing import Any

import pytest
from report_fixture import metrics, record, write_results

from nin_bench.analysis.names import Names
from nin_bench.analysis.verdicts import Verdict, judge
from nin_bench.report.effects import draw_effects, effect_rows, not_drawn
from nin_bench.results import load_results

HIGH, LOW = [0.912, 0.914, 0.909, 0.915, 0.910] * 2, [0.890, 0.894, 0.885, 0.893, 0.888] * 2


def claim(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": name, "claim": "A is better.", "primary": True, "metric": "test_accuracy", "compare": ["a", "b"],
        "expect": "greater", "margin": 0.01, "factor": None, **changes,
    }  # fmt: skip


def judged(folder: Path, *hypotheses: dict[str, Any], **variants: list[dict[str, Any] | None]) -> list[Verdict]:
    return judge(load_results(write_results(folder, variants, hypotheses=list(hypotheses))))


def cells(accuracies: list[float], **others: Any) -> list[dict[str, Any] | None]:
    return [record(metrics=metrics(accuracy, **others)) for accuracy in accuracies]


CLAIMS = [
    claim("better"),
    claim("no-worse", expect="equivalent", margin=0.03),
    claim("smaller", metric="num_params", expect="less", margin=None, factor=2.0, primary=False),
    claim("faster", metric="train_images_per_second", primary=False),
]


@pytest.fixture
def verdicts(tmp_path: Path) -> list[Verdict]:
    return judged(tmp_path / "r", *CLAIMS, a=cells(HIGH, num_params=100), b=cells(LOW, num_params=1000))


def test_a_row_holds_the_effect_and_what_decides(verdicts: list[Verdict]) -> None:
    better, no_worse, smaller = effect_rows(verdicts)
    assert (better.panel, better.value) == ("difference A − B, points", pytest.approx(0.022))
    assert (better.interval, better.holds, better.decides) == (verdicts[0].interval, (0.01, None), (0.01,))
    assert no_worse.holds == no_worse.decides == (-0.03, 0.03)
    assert (smaller.panel, smaller.value, smaller.interval) == ("factor, A / B", 0.1, None)
    assert (smaller.holds, smaller.decides) == ((None, 0.5), (0.5,))
    assert not_drawn(verdicts) == ["faster"]


def test_the_figure_names_every_verdict(verdicts: list[Verdict]) -> None:
    picture = draw_effects(verdicts, Names.of([]))
    assert picture is not None
    svg = picture.svg.decode()
    assert svg.count("<!-- supported, n=10 -->") == 2
    assert svg.count("<!-- supported, exact -->") == 1  # parameters, which no pair is needed for
    assert "<!-- better -->" in svg
    assert "<!-- a − b -->" in svg
    assert draw_effects(verdicts[3:], Names.of([])) is None
