import pytest
from costs_fixture import CPU, around, cost_entry, layer, write_costs, write_showcase_costs
from matplotlib.image import imread
from report_fixture import metrics, record, write_results, write_showcase

from nin_bench.analysis.costs import compare_costs
from nin_bench.report.cost_plots import draw_cost_shares, draw_roofline
from nin_bench.results import load_results

LABELS = ["$\\frac{1}{0}$", "_hidden", "<script>alert(1)</script>", "w" * 500]


def rows_of(tmp_path, *entries, labels=LABELS):
    labels = labels[: len(entries)]
    folder = write_results(
        tmp_path / "r", {label: [record(metrics=metrics(0.9))] for label in labels}, machine=CPU
    )
    for number, entry in enumerate(entries):
        write_costs(folder, f"v{number:02}", entry)
    return compare_costs(load_results(folder))[0].rows


@pytest.mark.parametrize("num_variants", [1, 3, 9])
def test_both_figures_are_drawn_within_the_page(tmp_path, num_variants):
    folder = write_showcase(tmp_path / "r", machine=CPU)
    write_showcase_costs(folder, num_variants)
    rows = compare_costs(load_results(folder))[0].rows
    for number, picture in enumerate((draw_cost_shares(rows), draw_roofline(rows))):
        path = tmp_path / f"{number}.png"
        path.write_bytes(picture.png)
        pixels = imread(path)[..., :3]
        assert pixels.shape[1] == 1800
        edges = (pixels[:, :2], pixels[:, -2:], pixels[:2], pixels[-2:])
        assert all((edge > 0.9).all() for edge in edges), "something reaches beyond the figure"


def test_shares_are_drawn_in_percent_with_their_total(tmp_path):
    svg = draw_cost_shares(rows_of(tmp_path, cost_entry())).svg.decode()
    # 600, 300 and 100 of 1,000 parameters; a second each of 6 ms in the convolution and the rest
    for text in ("60", "30", "1 k", "50 k", "6 ms", "spatial convolution", "1×1 convolution", "dense", "other"):
        assert f"<!-- {text} -->" in svg


def test_what_was_not_measured_is_said_in_its_place(tmp_path):
    empty = {"total": 0, "convolution": 0, "pointwise": 0, "dense": 0}
    svg = draw_cost_shares(rows_of(tmp_path, cost_entry(num_macs=empty, layers=[]))).svg.decode()
    assert "<!-- not measured -->" in svg
    assert "<!-- none -->" in svg


def test_roofs_are_labelled_with_the_highest_that_was_measured(tmp_path):
    svg = draw_roofline(rows_of(tmp_path, cost_entry())).svg.decode()
    for text in ("bf16 306 G/s", "fp32 102 G/s", "copy 10.2 GB/s"):  # the highest is 2 % above the median
        assert f"<!-- {text} -->" in svg


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
    assert draw_roofline(rows_of(tmp_path, cost_entry(**changes))) is None


def test_variants_without_layers_have_no_panel(tmp_path):
    rows = rows_of(tmp_path, cost_entry(), cost_entry(layers=[]), labels=["has layers", "has none"])
    svg = draw_roofline(rows).svg.decode()
    assert "<!-- has layers -->" in svg
    assert "<!-- has none -->" not in svg


def test_nothing_measured_is_no_figure():
    assert draw_cost_shares([]) is None
    assert draw_roofline([]) is None


def test_labels_are_shown_as_they_are(tmp_path):
    rows = rows_of(tmp_path, *[cost_entry()] * 4)
    for picture in (draw_cost_shares(rows), draw_roofline(rows)):
        svg = picture.svg.decode()
        assert "<script" not in svg
        assert "<!-- $\\frac{1}{0}$ -->" in svg
        assert "_hidden" in svg
