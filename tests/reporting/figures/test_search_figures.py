import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

from nin_bench.analysis.search.analysis import analyse_search
from nin_bench.analysis.search.studies import read_search
from nin_bench.reporting.figures import Drawing, search_figures_of
from nin_bench.reporting.figures.plot_style import MAX_DRAWN
from tests.figure_words import words
from tests.search_fixture import (
    RATES,
    Made,
    failed,
    pruned,
    sweep,
    trial,
    write_search,
    write_search_showcase,
    write_two_parameters,
)


def draw(folder: Path) -> Mapping[str, Drawing]:
    return search_figures_of(analyse_search(read_search(folder)))


def curves(folder: Path, trials: list[Made], **settings: Any) -> list[str]:
    return words(draw(write_search(folder, {"a": trials}, **settings))["search_curves"])


def test_each_panel_says_its_peak_and_width(tmp_path: Path) -> None:
    # level .89: two fifths of a step of .6 decades below the peak, and a fifth of one above it
    said = curves(tmp_path / "s", sweep([0.6, 0.7, 0.875, 0.90, 0.85, 0.8]))
    assert "90.0 % at 0.0631, 0.36 decades" in said
    assert {"mean over seeds", "one seed", "within one point of the peak"} <= set(said)
    assert not {"other variants", "seed diverged", "seed at chance level", "seed pruned"} & set(said)


def test_what_became_of_seeds_is_in_the_legend(tmp_path: Path) -> None:
    ends = [[0.3, 0.3], [0.85, 0.85], [0.9, 0.1], [None, 0.9]]
    trials = [trial(number, {"lr": RATES[number]}, at) for number, at in enumerate(ends)]
    trials.append(pruned(4, {"lr": 0.005}, [0.84, 0.83]))
    said = curves(tmp_path / "s", trials)
    assert {"seed below the axis", "seed at chance level", "seed diverged", "seed pruned"} <= set(said)


@pytest.mark.parametrize(
    ("trials", "says"),
    [
        (sweep([0.1, None], [0.01, 0.1]), "nothing learned"),
        ([pruned(0, {"lr": 0.1}, [0.5, 0.5])], "no complete trial"),
        (sweep([0.9], [0.1]), "90.0 % at 0.1"),
    ],
)
def test_sparse_studies_are_drawn_too(tmp_path: Path, trials: list[Made], says: str) -> None:
    assert says in curves(tmp_path / "s", trials)


@pytest.mark.parametrize("variants", [1, 3, 9])
def test_every_variant_has_its_panel_and_its_strip(tmp_path: Path, variants: int) -> None:
    pictures = draw(write_search_showcase(tmp_path / "s", variants))
    assert list(pictures) == ["search_curves", "search_learning", "search_budget"]
    assert sum(" decades" in said for said in words(pictures["search_curves"])) == variants
    assert sum(bool(re.fullmatch(r"\d+ % \(\d+–\d+\)", said)) for said in words(pictures["search_learning"])) == (
        variants
    )
    assert ("other variants" in words(pictures["search_curves"])) == (variants > 1)


def test_where_parameters_vary_freely_no_line_joins_the_trials(tmp_path: Path) -> None:
    pictures = draw(write_two_parameters(tmp_path / "s", variants=2, sampler="random"))
    assert list(pictures) == ["search_curves", "search_learning", "search_budget", "search_importances"]
    assert "mean over seeds" not in words(pictures["search_curves"])
    assert {"lr", "init", "weight_decay", "together"} <= set(words(pictures["search_importances"]))


def test_a_range_of_another_kind_is_drawn(tmp_path: Path) -> None:
    trials = [trial(n, {"momentum": m}, [0.8 - (m - 0.5) ** 2 / 10]) for n, m in enumerate((0.0, 0.5, 0.9))]
    # .775 .800 .784: two fifths of the way down from the peak, and five eighths of the way up
    said = curves(tmp_path / "s", trials, space={"momentum": {"low": 0, "high": 0.9}}, seeds=[10_000])
    assert {"momentum", "80.0 % at 0.5, 0.45 wide"} <= set(said)


def test_importances_that_are_not_known_are_said(tmp_path: Path) -> None:
    some = [
        trial(n, {"lr": rate, "init": "ab"[n % 2]}, [0.5 + 0.02 * n]) for n, rate in enumerate([*RATES, *RATES])
    ]
    space = {"lr": {"low": 0.001, "high": 1, "log": True}, "init": ["a", "b"]}
    folder = write_search(tmp_path / "s", {"a": some, "b": some[:3]}, space=space, trials=12)
    assert "too few, or all worth the same" in words(draw(folder)["search_importances"])


def test_no_more_variants_are_drawn_than_can_be_read(tmp_path: Path) -> None:
    names = [f"v{number}" for number in range(MAX_DRAWN + 1)]
    drawings = draw(write_search(tmp_path / "s", dict.fromkeys(names, sweep([0.9], [0.1]))))
    said = words(drawings["search_learning"])
    assert f"v{MAX_DRAWN - 1}" in said
    assert f"v{MAX_DRAWN}" not in said


def test_labels_are_shown_as_they_are_and_no_setting_is_left_behind(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    labels = ["$\\frac{1}{0}$", "_hidden", "a\nb\u202ec", "<script>alert(1)</script>", "文字", "w" * 500]
    pictures = draw(write_search(tmp_path / "s", dict.fromkeys(labels, sweep([0.7, 0.9, 0.8], [0.01, 0.1, 1.0]))))
    assert dict(mpl.rcParams) == before
    for picture in pictures.values():
        assert b"<script" not in picture.svg
        assert {"$\\frac{1}{0}$", "a\\nb\\u202ec", "文字"} <= set(words(picture))


def test_without_a_trial_that_counts_nothing_is_drawn(tmp_path: Path) -> None:
    assert draw(write_search(tmp_path / "s", {"a": [failed(0, {"lr": 0.1})], "b": None})) == {}
