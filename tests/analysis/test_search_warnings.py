from pathlib import Path
from typing import Any

import pytest

from nin_bench.analysis.search.studies import read_search
from nin_bench.analysis.search.warnings import SearchWarning, find_warnings
from tests.search_fixture import RATES, Made, failed, pruned, sweep, trial, write_search, write_search_showcase

GOOD = [0.70, 0.80, 0.85, 0.80, 0.70, 0.60]
"""Over six rates from .001 to 1: a peak in the middle, and all of them learn."""


def warn(folder: Path, studies: dict[str, list[Made] | None], **settings: Any) -> list[SearchWarning]:
    return find_warnings(read_search(write_search(folder, studies, **settings)))


def test_a_good_search_has_no_warning(tmp_path: Path) -> None:
    assert warn(tmp_path / "s", {"a": sweep(GOOD), "b": sweep([value - 0.1 for value in GOOD])}) == []
    assert find_warnings(read_search(write_search_showcase(tmp_path / "showcase"))) == []


@pytest.mark.parametrize(
    ("curve", "end", "value"),
    [([0.9, *GOOD[1:]], "lower", "0.001"), ([*GOOD[:5], 0.9], "upper", "1")],
)  # fmt: skip
def test_a_best_value_on_the_edge_is_told(tmp_path: Path, curve: list[float], end: str, value: str) -> None:
    kinds = {warning.kind: warning for warning in warn(tmp_path / "s", {"a": sweep(curve)})}
    assert kinds["on the edge"].sentence == (
        f"a: its best learning rate, {value}, lies at the {end} end of what was searched, 0.001 to 1: a better "
        "one may lie beyond; widen the range."
    )


@pytest.mark.parametrize(("rate", "told"), [(10**-0.14, True), (10**-0.16, False), (10**-2.86, True)])
def test_the_edge_is_a_twentieth_of_the_range(tmp_path: Path, rate: float, told: bool) -> None:
    trials = [trial(0, {"lr": rate}, [0.9, 0.9]), trial(1, {"lr": rate * 0.9}, [0.8, 0.8])]
    found = warn(tmp_path / "s", {"a": trials}, trials=2, sampler="random")
    assert [warning.kind for warning in found] == ["on the edge"] * told


def test_zero_is_no_edge_because_nothing_lies_below(tmp_path: Path) -> None:
    settings: Any = {"space": {"momentum": {"low": 0, "high": 0.9}}, "trials": 2, "sampler": "random"}
    trials = [trial(0, {"momentum": 0.0}, [0.9, 0.9]), trial(1, {"momentum": 0.5}, [0.8, 0.8])]
    assert warn(tmp_path / "0", {"a": trials}, **settings) == []
    trials = [trial(0, {"momentum": 0.9}, [0.9, 0.9]), trial(1, {"momentum": 0.5}, [0.8, 0.8])]
    [warning] = warn(tmp_path / "1", {"a": trials}, **settings)
    assert "its best momentum, 0.9, lies at the upper end" in warning.sentence


def test_the_ends_of_a_choice_between_two_are_no_edges(tmp_path: Path) -> None:
    trials = [trial(n, {"momentum": momentum}, [0.9, 0.9]) for n, momentum in enumerate((0.5, 0.9))]
    assert warn(tmp_path / "s", {"a": trials}, space={"momentum": [0.5, 0.9]}, trials=2) == []


@pytest.mark.parametrize(
    ("curve", "told"),
    [
        (
            [0.7, 0.85, 0.7, 0.86, 0.7, 0.6],
            "0.00398 and 0.0631, lie 1.2 decades apart, and 1 between them did worse",
        ),
        ([0.7, 0.8, 0.85, 0.86, 0.7, 0.6], None),
    ],
)
def test_two_best_rates_a_decade_apart_are_told(tmp_path: Path, curve: list[float], told: str | None) -> None:
    found = warn(tmp_path / "s", {"a": sweep(curve)})
    assert [warning.kind for warning in found] == ["best rates apart"] * bool(told)
    assert all(str(told) in warning.sentence for warning in found)


def test_best_rates_with_none_between_them_are_too_coarse(tmp_path: Path) -> None:
    trials = sweep([0.7, 0.8, 0.85, 0.7], [0.001, 0.01, 0.1, 1.0])
    [warning] = warn(tmp_path / "s", {"a": trials}, trials=4)
    assert warning.kind == "best rates apart"
    assert "lie 1.0 decades apart, and none was tried between them: the steps are too coarse" in warning.sentence


@pytest.mark.parametrize(
    ("curve", "how"),
    [
        ([0.1, 0.1, 0.1, None, None, [0.1, None]], "3 diverged, 3 at chance level"),
        ([0.1] * 6, "6 at chance level"),
        ([None] * 6, "6 diverged"),
    ],
)
def test_a_variant_that_never_learned_has_an_arbitrary_best(tmp_path: Path, curve: Any, how: str) -> None:
    [warning] = warn(tmp_path / "s", {"a": sweep(curve), "b": sweep(GOOD)})
    assert warning.variant_ids == ["v00"]
    assert warning.sentence == (
        f"a: none of its 6 complete trials learned ({how}), so its best is arbitrary; search other values."
    )


def test_a_best_trial_that_lost_a_seed_is_no_safe_choice(tmp_path: Path) -> None:
    # .9 and nothing still beat .4 and .4
    found = warn(tmp_path / "s", {"a": sweep([0.2, 0.3, 0.4, [0.9, 0.1], [0.1, 0.8], None])})
    assert [warning.sentence for warning in found] == [
        "a: 1 of the 2 seeds of its best trial diverged or ended at chance level, so that it is no safe choice; "
        "search other values."
    ]


def test_missing_trials_are_told_and_pruned_ones_are_not_missing(tmp_path: Path) -> None:
    trials = [*sweep(GOOD)[:5], failed(5, {"lr": RATES[5]})]
    studies = {"a": trials, "b": None, "c": [failed(0, {"lr": 0.1})]}
    assert [warning.sentence for warning in warn(tmp_path / "s", studies)] == [
        "a: 5 of 6 trials are there; search again, and the rest is done.",
        "b, c: no trial ran to its end; search again.",
    ]
    whole = {"a": [*sweep(GOOD)[:5], pruned(5, {"lr": RATES[5]}, [0.5, 0.5])]}
    assert [warning.kind for warning in warn(tmp_path / "pruned", whole)] == []


def test_one_seed_is_told(tmp_path: Path) -> None:
    trials = [trial(n, {"lr": rate}, [at]) for n, (rate, at) in enumerate(zip(RATES, GOOD, strict=True))]
    [warning] = warn(tmp_path / "s", {"a": trials, "b": trials}, seeds=[10_000])
    assert warning.kind == "one seed"
    assert warning.variant_ids == []


def test_seeds_that_disagree_more_than_variants_are_told(tmp_path: Path) -> None:
    def peak(*at: float) -> list[Made]:
        return sweep([0.7, 0.8, list(at), 0.8, 0.7, 0.6])

    # over seeds each deviates by .02 · √2 / √2 · … = .0283; the means .86, .87 and .88 deviate by .01
    studies = {"a": peak(0.84, 0.88), "b": peak(0.85, 0.89), "c": peak(0.86, 0.90)}
    [warning] = warn(tmp_path / "noise", studies)
    assert warning.sentence == (
        "Seeds disagree more than variants do: the best trials' validation accuracy deviates by 2.8 points over "
        "seeds (3 degrees of freedom), and by 1 over the 3 variants: their order may be luck."
    )
    # One that lies apart makes nothing sure of the others' order.
    [warning] = warn(tmp_path / "apart", {**studies, "d": peak(0.81, 0.81)})
    assert (
        "deviates by 2.4 points over seeds (4 degrees of freedom), and by 1 over 3 of the 4 variants"
        in warning.sentence
    )
    clear = {"a": peak(0.84, 0.841), "b": peak(0.85, 0.851), "c": peak(0.86, 0.861)}
    assert warn(tmp_path / "clear", clear) == []
    assert warn(tmp_path / "same", {"a": peak(0.85, 0.85), "b": peak(0.85, 0.85)}) == []


def test_another_length_of_training_is_told(tmp_path: Path) -> None:
    studies = {"a": sweep(GOOD), "b": sweep([value - 0.1 for value in GOOD])}
    [warning] = warn(tmp_path / "all", studies, epochs=3)
    assert warning.sentence == (
        "Trials train for 3 epochs, and the run for 12: what is best for one length need not be for the other."
    )
    assert warn(tmp_path / "none", studies, epochs=None, run_epochs={"v00": 12, "v01": 20}) == []
    [warning] = warn(tmp_path / "one", studies, run_epochs={"v00": 12, "v01": 20})
    assert warning.variant_ids == ["v01"]
    assert "and the run of b for 20:" in warning.sentence


def test_a_pruner_makes_budgets_differ_and_it_is_said_by_how_much(tmp_path: Path) -> None:
    frugal = [*sweep(GOOD)[:3], *(pruned(n, {"lr": RATES[n]}, [0.5, 0.5], epochs=2) for n in (3, 4, 5))]
    studies = {"a": sweep(GOOD), "b": frugal}
    [warning] = [found for found in warn(tmp_path / "s", studies, pruner="median") if "pruner" in found.sentence]
    assert warning.sentence == (
        "The median pruner stops trials early, so that the epochs spent differ: from 84 (b) to 144 (a), a factor "
        "of 1.7."
    )
    # one variant, or several that took as many, have nothing to differ in
    assert warn(tmp_path / "one", {"b": frugal}, pruner="hyperband") == []
    assert warn(tmp_path / "same", {"a": sweep(GOOD), "b": sweep(GOOD)}, pruner="hyperband") == []


def test_without_a_number_to_search_nothing_lies_on_an_edge(tmp_path: Path) -> None:
    trials = [trial(n, {"init": init}, [0.9, 0.9]) for n, init in enumerate(("default", "normal"))]
    assert warn(tmp_path / "s", {"a": trials}, space={"init": ["default", "normal"]}, trials=2) == []


def test_warnings_of_variants_come_first_in_the_grid_s_order(tmp_path: Path) -> None:
    studies = {"b": sweep([0.9, *GOOD[1:]]), "a": sweep([0.1] * 6)}
    found = warn(tmp_path / "s", studies, epochs=3)
    assert [(warning.kind, warning.variant_ids) for warning in found] == [
        ("on the edge", ["v00"]),
        ("best rates apart", ["v00"]),
        ("nothing learned", ["v01"]),
        ("other epochs", ["v00", "v01"]),
    ]
