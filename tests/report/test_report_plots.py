import re

import matplotlib as mpl
import numpy as np
import pytest
from report_fixture import COLLAPSED, learning, metrics, record, write_results

from nin_bench.analysis.analysis import analyse
from nin_bench.report import look
from nin_bench.report.build import draw_figures
from nin_bench.report.captions import FIGURES
from nin_bench.report.plots import MAX_DRAWN
from nin_bench.results import load_results


def words(picture):
    return re.findall("<!-- (.*?) -->", picture.svg.decode())


def draw(folder):
    return draw_figures(analyse(load_results(folder)))


def test_drawing_leaves_no_setting_behind(tmp_path):
    before = dict(mpl.rcParams)

    draw(write_results(tmp_path / "r", {"a": [record(metrics=metrics(0.9), history=learning(2, 0.9, 0))]}))

    assert dict(mpl.rcParams) == before


def test_without_chance_in_the_records_there_is_no_line_for_it(tmp_path):
    made = record(metrics=metrics(0.9, chance_loss=None, chance_accuracy=None), history=learning(2, 0.9, 0))
    pictures = draw(write_results(tmp_path / "r", {"a": [made]}))

    assert b"chance" not in pictures["training_loss"].svg


def test_the_front_is_over_all_variants_drawn_or_not(tmp_path):
    # each variant is dearer and better than the one before; one that is not drawn beats them all
    variants = {
        f"v{number}": [record(metrics=metrics(0.5 + 0.01 * number, num_params=1000 * (number + 1)))]
        for number in range(MAX_DRAWN)
    }
    variants["best"] = [record(metrics=metrics(0.99, num_params=10, num_macs=10))]
    analysis = analyse(load_results(write_results(tmp_path / "r", variants)))

    assert analysis.pareto_front["num_params"] == ["best"]
    assert b"Pareto front" not in draw_figures(analysis)["accuracy_against_costs"].svg  # one variant is no line


def test_what_costs_nothing_has_no_place_on_the_axis_of_costs(tmp_path):
    free, dear = metrics(0.5, num_params=0), metrics(0.9, num_params=1000)
    results = load_results(
        write_results(tmp_path / "r", {"free": [record(metrics=free)], "dear": [record(metrics=dear)]})
    )
    assert "accuracy_against_costs" in draw_figures(analyse(results))


def test_a_front_of_one_variant_says_that_nothing_is_traded(tmp_path):
    variants = {
        "small": [record(metrics=metrics(0.9, num_params=10, num_macs=200))],
        "large": [record(metrics=metrics(0.8, num_params=20, num_macs=100))],
    }
    said = words(draw(write_results(tmp_path / "r", variants))["accuracy_against_costs"])

    assert said.count("no trade-off: cheapest and best is") == 2  # by parameters, and by seconds, which are equal
    assert said.count("trade-off between 2 variants") == 1  # by MACs


def test_a_seed_far_below_the_others_does_not_stretch_the_axis(tmp_path):
    cells = [record(metrics=metrics(0.8 + 0.01 * seed), history=learning(40, 0.9, seed)) for seed in range(8)]
    collapsed = learning(40, 0.1, 8, collapsed=True)
    cells.append(record(metrics=metrics(0.1, **COLLAPSED), history=collapsed))
    pictures = draw(write_results(tmp_path / "r", {"a": cells}))

    for name in ("accuracy_against_costs", "learning_curves"):
        assert "seeds that end below the axis" in words(pictures[name])


def test_unknown_health_is_drawn_as_no_failure(tmp_path):
    made = record(metrics=metrics(0.9, healthy=None, escaped=None), history=learning(2, 0.9, 0))
    svg = draw(write_results(tmp_path / "r", {"a": [made]}))["learning_curves"].svg

    assert b"0 of 1 healthy, 1 not known" in svg
    assert b"failed or collapsed" not in svg


def test_labels_are_shown_as_they_are(tmp_path):
    labels = ["$\\frac{1}{0}$", "_hidden", "a\nb\u202ec", "<script>alert(1)</script>", "文字", "w" * 500]
    pictures = draw(
        write_results(
            tmp_path / "r",
            {label: [record(metrics=metrics(0.9), history=learning(2, 0.9, 0))] for label in labels},
        )
    )

    svg = pictures["accuracy_against_costs"].svg.decode()
    assert set(pictures) == {*FIGURES, "epochs_to_target"}
    assert "<script" not in svg
    assert "<!-- $\\frac{1}{0}$ -->" in svg
    assert "_hidden" in svg
    assert "<!-- a\\nb\\u202ec -->" in svg


@pytest.mark.parametrize(
    "cells",
    [
        [record(metrics=metrics(0.9), history=learning(1, 0.9, 0))],
        [record(metrics=metrics(0.1, **COLLAPSED), history=learning(3, 0.1, 0, collapsed=True))] * 2,
        [record(metrics=metrics(0.9, num_macs=None), history=learning(3, 0.9, 0))],
    ],
    ids=["one epoch of one seed", "all collapsed", "one cost unknown"],
)  # fmt: skip
def test_sparse_records_are_drawn_too(tmp_path, cells):
    assert set(draw(write_results(tmp_path / "r", {"a": cells}))) - {"epochs_to_target"} == set(FIGURES)


def test_nothing_to_draw_is_no_figure(tmp_path):
    assert draw(write_results(tmp_path / "r", {"a": [None], "b": [record("crashed")]})) == {}


def test_without_validation_images_there_is_no_validation_curve(tmp_path):
    history = [{**row, "validation_accuracy": None} for row in learning(2, 0.9, 0)]
    pictures = draw(write_results(tmp_path / "r", {"a": [record(metrics=metrics(0.9), history=history)]}))

    assert set(pictures) == set(FIGURES) - {"learning_curves"}


def test_styles_tell_every_variant_apart():
    styles = look.styles([str(number) for number in range(72)])

    assert len({(style.color, style.marker) for style in styles.values()}) == 72
    assert len({style.color for style in list(styles.values())[:9]}) == 9  # as many as onexone has
    lightness = [np.dot(style.color, (0.299, 0.587, 0.114)) for style in styles.values()]
    assert max(lightness) < 0.75  # dark enough on white
