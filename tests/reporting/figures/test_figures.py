import json

import matplotlib as mpl
import numpy as np
import pytest

from nin_bench.analysis.analysis import analyse
from nin_bench.reporting.figures import figures_of
from nin_bench.reporting.figures.plot_style import MAX_DRAWN, notable
from nin_bench.results import load_results
from tests.costs_fixture import CPU, write_showcase_costs
from tests.figure_words import words
from tests.predictions_fixture import stored
from tests.probes_fixture import write_probed
from tests.report_fixture import COLLAPSED, RECIPE, learning, metrics, record, write_results, write_showcase

ALWAYS = {"seeds", "accuracy_against_costs", "learning_curves", "training_loss", "escape"}


def draw(folder):
    return figures_of(analyse(load_results(folder)))


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
    drawing = figures_of(analysis)["accuracy_against_costs"]
    assert "Pareto front of the medians" not in words(drawing)  # one variant is no line


def test_the_front_is_over_all_seeds(tmp_path):
    failed = record(metrics=metrics(0.1, num_params=10, **COLLAPSED))
    variants = {
        # two of three failed, so that the median is that of a failed network
        "often": [record(metrics=metrics(0.95, num_params=10)), failed, failed],
        "never": [record(metrics=metrics(0.8, num_params=20))] * 3,
        "diverges": [
            record(metrics=metrics(0.9, num_params=30)),
            *[record("diverged", {"num_params": 30, "chance_accuracy": 0.1})] * 2,
        ],
    }
    analysis = analyse(load_results(write_results(tmp_path / "r", variants, baseline="never")))

    assert [row.median_test_accuracy for row in analysis.comparison] == [0.1, 0.8, 0.1]
    assert analysis.pareto_front["num_params"] == ["often", "never"]
    assert [row.label for row in notable(analysis.comparison)] == ["never", "often"]


def test_what_costs_nothing_has_no_place_on_the_axis_of_costs(tmp_path):
    free, dear = metrics(0.5, num_params=0), metrics(0.9, num_params=1000)
    results = load_results(
        write_results(tmp_path / "r", {"free": [record(metrics=free)], "dear": [record(metrics=dear)]})
    )
    assert "accuracy_against_costs" in figures_of(analyse(results))


def test_a_seed_far_below_the_others_does_not_stretch_the_axis(tmp_path):
    cells = [record(metrics=metrics(0.8 + 0.01 * seed), history=learning(40, 0.9, seed)) for seed in range(8)]
    collapsed = learning(40, 0.1, 8, collapsed=True)
    cells.append(record(metrics=metrics(0.1, **COLLAPSED), history=collapsed))
    pictures = draw(write_results(tmp_path / "r", {"a": cells}))

    for name in ("accuracy_against_costs", "learning_curves"):
        assert any("below the axis" in said for said in words(pictures[name]))


def test_unknown_health_is_drawn_as_no_failure(tmp_path):
    made = record(metrics=metrics(0.9, healthy=None, escaped=None), history=learning(2, 0.9, 0))
    said = words(draw(write_results(tmp_path / "r", {"a": [made]}))["learning_curves"])

    assert "0 of 0 failed, 1 not known" in said
    assert "network that failed" not in said


def test_figures_speak_of_networks_that_failed_and_of_no_health(tmp_path):
    folder = write_showcase(tmp_path / "r", machine=CPU)
    write_showcase_costs(folder)
    for drawing in draw(folder).values():
        said = " ".join([*words(drawing), drawing.title, drawing.caption, drawing.alt])
        assert "healthy" not in said
        assert "collapsed" not in said


def test_step_curves_have_an_axis_of_shares(tmp_path):
    said = words(draw(write_showcase(tmp_path / "r", machine=CPU))["escape"])
    assert {"0 %", "50 %", "100 %", "networks"} <= set(said)


def lines_joined(drawing):
    """Lines of an interaction that join two medians."""
    return [line for line in drawing.canvas.figure.axes[0].lines if len(line.get_xdata()) == 2]


@pytest.mark.parametrize(("rate", "joined"), [(0.1, 2), (0.05, 1)], ids=["one rate", "another rate"])
def test_interactions_join_medians_of_one_learning_rate_alone(tmp_path, rate, joined):
    variants = {
        f"nin pointwise={pointwise} head={head}": [record(metrics=metrics(0.8 + 0.01 * seed)) for seed in range(3)]
        for pointwise in (0, 1)
        for head in ("gap", "fc")
    }
    last = variants["nin pointwise=1 head=fc"]
    last[0] = record(metrics=metrics(0.1, **COLLAPSED))
    recipes = {"nin pointwise=1 head=fc": {**RECIPE, "lr": rate}}
    found = draw(write_results(tmp_path / "r", variants, recipes=recipes))["interactions"]
    assert len(lines_joined(found)) == joined
    assert [said for said in words(found) if "failed" in said] == ["1 of 3 failed"]


def test_networks_that_lost_different_classes_are_not_averaged(tmp_path):
    right = [0, 0, 1, 1, 2, 2, 2, 2]
    without_2, without_1 = [0, 0, 1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 2, 2, 2, 2]
    analysis = analyse(stored(tmp_path, {"a": [right, without_2, without_1, right]}, baseline="a").results)
    [one] = analysis.confusions
    assert (one.num_cells, one.num_known, one.lost) == (2, 4, [])
    assert [row[:3] for row in one.matrix] == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    said = words(figures_of(analysis)["confusions"])
    assert "mean of 2 of 4 networks: those that lost no class" in said


def test_labels_are_shown_as_they_are(tmp_path):
    labels = ["$\\frac{1}{0}$", "_hidden", "a\nb\u202ec", "<script>alert(1)</script>", "文字", "w" * 500]
    pictures = draw(
        write_results(
            tmp_path / "r",
            {label: [record(metrics=metrics(0.9), history=learning(2, 0.9, 0))] for label in labels},
        )
    )

    assert set(pictures) == {*ALWAYS, "epochs_to_target"}
    said = words(pictures["accuracy_against_costs"])
    assert {"$\\frac{1}{0}$", " _hidden", "a\\nb\\u202ec", "<script>alert(1)</script>", "文字"} <= set(said)
    for drawing in pictures.values():
        assert "<script" not in drawing.page_svg()
        assert b"<script" not in drawing.svg


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
    assert set(draw(write_results(tmp_path / "r", {"a": cells}))) - {"epochs_to_target"} == ALWAYS


def test_nothing_to_draw_is_no_figure(tmp_path):
    assert draw(write_results(tmp_path / "r", {"a": [None], "b": [record("crashed")]})) == {}


def test_without_validation_images_there_is_no_validation_curve(tmp_path):
    history = [{**row, "validation_accuracy": None} for row in learning(2, 0.9, 0)]
    pictures = draw(write_results(tmp_path / "r", {"a": [record(metrics=metrics(0.9), history=history)]}))

    assert set(pictures) == ALWAYS - {"learning_curves"}


def test_probes_are_drawn_where_there_are_answers(tmp_path):
    pictures = draw(write_probed(tmp_path / "r"))
    [moved] = pictures["probe_shift"].canvas.figure.axes
    assert [line.get_ydata().tolist() for line in moved.lines] == [[0.9, pytest.approx(0.8765)]] * 2
    [sizes] = pictures["probe_resolution"].canvas.figure.axes
    assert [len(line.get_xdata()) for line in sizes.lines] == [2, 1]  # the dense ones refuse one of two
    [maps] = pictures["class_maps"].canvas.figure.axes
    images, above, below, framed = (collection.get_paths() for collection in maps.collections)
    # two images of 14×14; on each a map with two values above zero, and one with one below
    assert [len(images), len(above), len(below), len(framed)] == [2 * 14 * 14, 4, 2, 2]
    sides = [round(float(np.ptp(path.vertices[:, 0])), 4) for path in above]
    assert sides[0] == pytest.approx(0.45)  # of two places side by side
    assert sides[1] == pytest.approx(0.45 * 0.5**0.5, abs=1e-4)  # a square's area is its value
    assert [float(path.vertices[:, 0].mean().round()) for path in framed] == [1, 2]


def test_another_value_of_a_map_is_another_figure(tmp_path):
    folder = write_probed(tmp_path / "r")
    before = draw(folder)["class_maps"].digest
    path = folder / "probes" / "c00s0.json"
    content = {key: value for key, value in json.loads(path.read_text()).items() if key != "digest"}
    content["class_maps"][0]["maps"][0][0][1] = -0.5
    path.write_text(json.dumps(content))
    assert draw(folder)["class_maps"].digest != before
