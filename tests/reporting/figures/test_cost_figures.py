import io

import pytest
from matplotlib.image import imread

from nin_bench.analysis.analysis import analyse
from nin_bench.reporting.figures import figures_of
from nin_bench.reporting.figures.plot_style import theme
from nin_bench.results import load_results
from tests.costs_fixture import CPU, around, cost_entry, layer, write_costs, write_showcase_costs
from tests.figure_words import words
from tests.report_fixture import metrics, record, write_results, write_showcase

LABELS = ["$\\frac{1}{0}$", "_hidden", "<script>alert(1)</script>", "w" * 500]


def drawn(tmp_path, *entries, labels=LABELS):
    labels = labels[: len(entries)]
    folder = write_results(
        tmp_path / "r", {label: [record(metrics=metrics(0.9))] for label in labels}, machine=CPU
    )
    for number, entry in enumerate(entries):
        write_costs(folder, f"v{number:02}", entry)
    return figures_of(analyse(load_results(folder)))


@pytest.mark.parametrize("num_variants", [1, 9])
def test_figures_are_drawn_within_the_page(tmp_path, num_variants):
    folder = write_showcase(tmp_path / "r", machine=CPU)
    write_showcase_costs(folder, num_variants)
    figures = figures_of(analyse(load_results(folder)))
    for name in ("cost_shares", "roofline"):
        with io.BytesIO() as content, theme():
            figures[name].canvas.figure.savefig(content, format="png", dpi=160)
            pixels = imread(io.BytesIO(content.getvalue()))[..., :3]
        assert pixels.shape[1] == 1440
        edges = (pixels[:, :2], pixels[:, -2:], pixels[:2], pixels[-2:])
        assert all((edge > 0.9).all() for edge in edges), "something reaches beyond the figure"


def test_shares_are_drawn_in_percent_with_their_total(tmp_path):
    said = words(drawn(tmp_path, cost_entry())["cost_shares"])
    # 600, 300 and 100 of 1,000 parameters; a second each of 6 ms in the convolution and the rest
    for text in ("60", "30", "1 k", "50 k", "6 ms", "spatial convolution", "1×1 convolution", "dense", "other"):
        assert text in said


def test_what_was_not_measured_is_said_in_its_place(tmp_path):
    empty = {"total": 0, "convolution": 0, "pointwise": 0, "dense": 0}
    said = words(drawn(tmp_path, cost_entry(num_macs=empty, layers=[]))["cost_shares"])
    assert "not measured" in said
    assert "none" in said


def test_roofs_are_labelled_with_the_highest_that_was_measured(tmp_path):
    said = words(drawn(tmp_path, cost_entry())["roofline"])
    for text in ("bf16 306 G/s", "fp32 102 G/s", "copy 10.2 GB/s"):  # the highest is 2 % above the median
        assert text in said


@pytest.mark.parametrize(
    "changes",
    [
        {"ceilings": None},
        {"ceilings": {"bf16_flops_per_second": around(3e11)}},
        {"layers": []},
        {"layers": [layer("relu", "other", flops=0, flops_per_byte=0.0)]},
        {"layers": [layer("conv", "convolution", forward_seconds=None)]},
    ],
    ids=["no ceilings", "no speed of a copy", "no layers", "no layer that computes", "not timed"],
)
def test_without_a_roof_or_layers_there_is_no_roofline(tmp_path, changes):
    assert "roofline" not in drawn(tmp_path, cost_entry(**changes))


def test_the_roofline_shows_the_baseline_and_one_other_variant(tmp_path):
    folder = write_showcase(tmp_path / "r", machine=CPU)
    write_showcase_costs(folder)
    said = words(figures_of(analyse(load_results(folder)))["roofline"])
    assert "nin pointwise=2 head=gap (baseline)" in said
    assert sum(label.startswith(("nin ", "alexnet", "vgg11")) for label in said) == 2


def test_variants_without_layers_have_no_panel(tmp_path):
    said = words(
        drawn(tmp_path, cost_entry(layers=[]), cost_entry(), labels=["has none", "has layers"])["roofline"]
    )
    assert "has layers" in said
    assert "has none" not in said


def test_nothing_measured_is_no_figure(tmp_path):
    folder = write_results(tmp_path / "r", {"a": [record(metrics=metrics(0.9))]})
    assert not {"cost_shares", "roofline"} & set(figures_of(analyse(load_results(folder))))


def test_labels_of_costs_are_shown_as_they_are(tmp_path):
    figures = drawn(tmp_path, *[cost_entry()] * 4)
    assert {"$\\frac{1}{0}$", " _hidden", "<script>alert(1)</script>"} <= set(words(figures["cost_shares"]))
    assert b"<script" not in figures["cost_shares"].svg
