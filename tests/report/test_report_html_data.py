import pytest
from report_fixture import learning, metrics, record, write_results

from nin_bench.analysis.analysis import analyse
from nin_bench.report.html import data
from nin_bench.results import load_results


def page_data(folder):
    return data.page_data(analyse(load_results(folder)))


@pytest.fixture
def folder(tmp_path):
    cells = [record(metrics=metrics(0.9 + 0.01 * seed), history=learning(3, 0.9, seed)) for seed in range(3)]
    return write_results(tmp_path / "results", {"a": cells, "b": [*cells[:2], None]})


def test_cells_stand_in_columns_with_their_curves(folder):
    found = page_data(folder)
    cells = found["cells"]
    assert cells["cell_id"] == ["c00s0", "c00s1", "c00s2", "c01s0", "c01s1"]
    assert cells["variant"] == ["a", "a", "a", "b", "b"]
    assert cells["metrics"]["test_accuracy"] == [0.9, 0.91, 0.92, 0.9, 0.91]
    curve = found["cell_curves"]["c01s1"]["train_loss"]
    recorded = [row["train_loss"] for row in learning(3, 0.9, 1)]
    assert curve == {"epoch": [1, 2, 3], "value": pytest.approx(recorded, rel=1e-5)}


def test_a_page_lists_so_many_cells_and_no_more(folder, monkeypatch):
    monkeypatch.setattr(data, "MAX_CELLS", 4)
    found = page_data(folder)
    assert found["cells"]["cell_id"] == ["c00s0", "c00s1", "c00s2", "c01s0"]
    assert list(found["cell_curves"]) == ["c00s0", "c00s1", "c00s2", "c01s0"]


def test_a_page_holds_so_many_values_of_curves_and_no_more(folder, monkeypatch):
    monkeypatch.setattr(data, "MAX_CURVE_VALUES", 17)  # two columns of three epochs are six values
    assert list(page_data(folder)["cell_curves"]) == ["c00s0", "c00s1"]


def test_a_metric_that_is_no_single_value_is_left_out(tmp_path):
    made = record(metrics={**metrics(0.9), "dead_maps": [1, 2]})
    found = page_data(write_results(tmp_path / "results", {"a": [made]}))
    assert found["cells"]["metrics"]["num_dead_maps"] == [0]
    assert found["cells"]["metrics"].get("dead_maps") in ([None], None)
