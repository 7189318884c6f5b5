import pytest

from nin_bench.analysis.interactions import find_interactions
from nin_bench.analysis.names import Names
from nin_bench.results import load_results
from tests.report_fixture import COLLAPSED, metrics, record, write_results


def cells(*accuracies):
    return [record(metrics=metrics(accuracy)) for accuracy in accuracies]


def find(tmp_path, variants, **grid):
    results = load_results(write_results(tmp_path / "results", variants, **grid))
    return find_interactions(results, Names.of(results.grid.variants))


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
    assert contrast.effect == pytest.approx(0.055)  # the median Walsh average of .04, .06, .06
    assert (contrast.first, contrast.second, contrast.n) == (("1", "2"), ("gap", "fc"), 3)
    assert (contrast.interval, contrast.level, contrast.test) == (
        None,
        0.05,
        "signed-rank",
    )  # three seeds bound nothing
    assert [cell.n for cell in product.cells] == [3, 3, 3, 3]


def test_contrasts_begin_at_the_baseline(tmp_path):
    [product] = find(tmp_path, SQUARE, baseline="nin pointwise=2 head=fc")
    assert (product.contrasts[0].first, product.contrasts[0].second) == (("2", "1"), ("fc", "gap"))


def test_a_level_without_every_partner_is_left_out_and_named(tmp_path):
    [product] = find(tmp_path, {**SQUARE, "nin pointwise=3 head=gap": cells(0.7, 0.7, 0.7)})
    assert (product.levels, product.left_out) == ((["1", "2"], ["gap", "fc"]), ["pointwise=3"])


def test_a_failed_network_counts_with_its_accuracy(tmp_path):
    collapsed = record(metrics=metrics(0.1, **COLLAPSED))
    grown = {label: made * 3 for label, made in SQUARE.items()}
    grown["nin pointwise=2 head=gap"] = [collapsed, *grown["nin pointwise=2 head=gap"][1:]]
    [product] = find(tmp_path, grown)
    [contrast] = product.contrasts
    assert (contrast.n, contrast.test, contrast.effect) == (9, "sign", pytest.approx(0.06))
    # (.84 − .88) − (.10 − .90) = .76
    assert contrast.interval == (pytest.approx(0.04), pytest.approx(0.06))
    assert product.cells[2].n == 8


def test_several_contrasts_share_a_level(tmp_path):
    more = {f"nin pointwise=3 head={head}": cells(0.7, 0.7, 0.7) for head in ("gap", "fc")}
    [product] = find(tmp_path, {**SQUARE, **more})
    assert [contrast.level for contrast in product.contrasts] == [0.025, 0.025]


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
