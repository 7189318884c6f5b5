from predictions_fixture import PERFECT, stored

from nin_bench.analysis.lost_classes import find_lost_classes
from nin_bench.analysis.stricter import judge_stricter
from nin_bench.analysis.verdicts import judge
from nin_bench.report.verdict_text import describe_verdict as words

CLAIM = {
    "id": "better", "says": "A is better.", "primary": True, "metric": "test_accuracy", "compare": ["a", "b"],
    "expect": "greater", "margin": 0.0, "factor": None,
}  # fmt: skip
FEWER_PARAMETERS = {**CLAIM, "id": "fewer", "metric": "num_params"}
FOUR_WRONG = [0, 1, 1, 2, 2, 0, 0, 2]
NEVER_ONE = [0, 0, 2, 2, *PERFECT[4:]]
"""Class 1 is lost, and yet two images more are right than in FOUR_WRONG."""


def stricter(tmp_path, a, b, hypotheses=(CLAIM,)):
    found = stored(tmp_path, {"a": a, "b": b}, hypotheses=list(hypotheses))
    lost, _ = find_lost_classes(found, ["a", "b", "gap", "fc"])
    return judge_stricter(found.results, judge(found.results), lost)


def test_a_verdict_that_rests_on_a_network_without_a_class_hinges_on_it(tmp_path):
    [verdict] = stricter(tmp_path, [PERFECT] + [NEVER_ONE] * 8, [FOUR_WRONG] * 9)
    assert (verdict.verdict, verdict.stricter.verdict) == ("supported", "trade-off")
    assert verdict.stricter.num_networks == 8
    assert words(verdict).stricter == (
        "It hinges on what counts as failed: were the 8 healthy networks here that never predict some class "
        "counted as failed, it would be a trade-off (by rank: 1 won, 0 tied, 8 lost)."
    )


def test_a_verdict_may_stay(tmp_path):
    [verdict] = stricter(tmp_path, [PERFECT] * 8, [FOUR_WRONG] * 7 + [NEVER_ONE])
    assert (verdict.verdict, verdict.stricter.verdict) == ("supported", "supported")
    assert words(verdict).stricter == (
        "Were the one healthy network here that never predicts some class counted as failed, the verdict would be "
        "the same (by rank: 8 won, 0 tied, 0 lost)."
    )


def test_nothing_is_said_where_no_class_was_lost_or_no_network_matters(tmp_path):
    [verdict] = stricter(tmp_path, [PERFECT] * 3, [FOUR_WRONG] * 3)
    assert verdict.stricter is None
    (tmp_path / "counted").mkdir()
    [accuracy, counted] = stricter(tmp_path / "counted", [NEVER_ONE] * 3, [PERFECT] * 3, [CLAIM, FEWER_PARAMETERS])
    assert accuracy.stricter is not None
    assert counted.stricter is None
