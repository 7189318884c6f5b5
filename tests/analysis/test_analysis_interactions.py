import pytest
from report_fixture import COLLAPSED, metrics, record, write_results

from nin_bench.analysis.interactions import find_interactions
from nin_bench.analysis.names import Names
from nin_bench.results import load_results


def cells(*accuracies):
    return [record(metrics=metrics(accuracy)) for accuracy in accuracies]


def find(tmp_path, variants, **grid):
    results = load_results(write_results(tmp_path / "results", variants, **grid))
    return find_interactions(results, Names.of(results.grid["variants"]))


SQUARE = {
    "nin pointwise=1 head=gap": cells(0.90, 0.91, 0.92),
    "nin pointwise=1 head=fc": cells(0.88, 0.90, 0.91),
    "nin pointwise=2 head=gap": cells(0.80, 0.82, 0.83),
    "nin pointwise=2 head=fc": cells(0.84, 0.85, 0.88),
    "alexnet": cells(0.9, 0.9, 0.9),
}


def test_a_full_product_gives_a_difference_of_differences(tmp_path):
    [product] = find(tmp_path, SQUARE)
    assert (product.model, product.axes, product.levels) == (
        "nin",
        ("pointwise", "head"),
        (["1", "2"], ["gap", "fc"]),
    )
    [contrast] = product.contrasts
    # (.84 − .88) − (.80 − .90) = .06; (.85 − .90) − (.82 − .91) = .04; (.88 − .91) − (.83 − .92) = .06
    assert contrast.effect == pytest.approx(0.16 / 3)
    assert (contrast.first, contrast.second, contrast.n) == (("1", "2"), ("gap", "fc"), 3)
    assert contrast.interval is not None
    assert contrast.interval[0] < 0.16 / 3 < contrast.interval[1]
    assert [cell["n"] for cell in product.cells] == [3, 3, 3, 3]


def test_contrasts_begin_at_the_baseline(tmp_path):
    [product] = find(tmp_path, SQUARE, baseline="nin pointwise=2 head=fc")
    assert (product.contrasts[0].first, product.contrasts[0].second) == (("2", "1"), ("fc", "gap"))


def test_a_level_without_every_partner_is_left_out_and_named(tmp_path):
    [product] = find(tmp_path, {**SQUARE, "nin pointwise=3 head=gap": cells(0.7, 0.7, 0.7)})
    assert (product.levels, product.left_out) == ((["1", "2"], ["gap", "fc"]), ["pointwise=3"])


def test_a_collapsed_network_takes_its_seed_out(tmp_path):
    collapsed = record(metrics=metrics(0.1, **COLLAPSED))
    one = {**SQUARE, "nin pointwise=2 head=gap": [collapsed, *cells(0.82, 0.83)]}
    [product] = find(tmp_path, one)
    assert (product.contrasts[0].n, product.contrasts[0].effect) == (2, pytest.approx(0.05))
    (tmp_path / "all").mkdir()
    [product] = find(tmp_path / "all", {**SQUARE, "nin pointwise=2 head=gap": [collapsed] * 3})
    contrast = product.contrasts[0]
    assert (contrast.n, contrast.effect, contrast.interval) == (0, None, None)
    assert product.cells[2]["mean"] is None


@pytest.mark.parametrize(
    "labels",
    [
        ["nin pointwise=1 head=gap", "nin pointwise=2 head=fc"],  # a diagonal
        ["nin pointwise=1", "nin pointwise=2"],  # one axis
        ["a|b", "<script>"],  # nothing differs
    ],
)
def test_less_than_a_product_is_none(tmp_path, labels):
    assert find(tmp_path, {label: cells(0.9) for label in labels}) == []
