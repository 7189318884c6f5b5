import tracemalloc

import numpy as np
import pytest

from nin_bench.analysis.predictions import Stored, class_names, count_confusions, image_errors
from nin_bench.analysis.tables import compare_variants
from nin_bench.analysis.verdicts import judge
from nin_bench.results import ResultsFolder, load_results
from tests.predictions_fixture import ONE_WRONG, PERFECT, SILENT, cell, predicted, stored
from tests.report_fixture import write_results

CLAIM = {
    "id": "better", "claim": "A is better.", "primary": True, "metric": "test_accuracy", "compare": ["a", "b"],
    "expect": "greater", "margin": 0.0, "factor": None,
}  # fmt: skip


def test_the_images_own_error_is_that_of_pairs(tmp_path):
    found = stored(tmp_path, {"a": [PERFECT, PERFECT], "b": [ONE_WRONG, SILENT]}, hypotheses=[CLAIM])
    errors = image_errors(found, judge(found.results))["better"]
    assert (errors.num_seeds, errors.num_images, errors.difference) == (2, 8, pytest.approx(3 / 16))
    by_image = [0.5, 0, 0, 0, 0, 0, 0.5, 0.5]
    assert errors.images_error == pytest.approx(np.std(by_image, ddof=1) / np.sqrt(8))


def test_confusions_are_shares_of_a_class(tmp_path):
    found = stored(tmp_path, {"a": [ONE_WRONG, SILENT]})
    [confusion] = count_confusions(found, compare_variants(found.results))
    assert confusion.num_cells == 2
    # of class 0's two images one was taken for class 1, by one of two networks; of class 2's four one for class 0
    assert confusion.matrix == [[0.75, 0.25, 0, 0], [0, 1, 0, 0], [0.125, 0, 0.75, 0.125]]
    assert confusion.pairs == [("0", "1", 0.25), ("2", "0", 0.125), ("2", "nothing", 0.125)]


def test_predictions_that_do_not_fit_their_record_are_left_out_and_named(tmp_path):
    found = stored(tmp_path, {"a": [PERFECT, ONE_WRONG]})
    predicted(found.results.folder, "c00s0", SILENT)
    ResultsFolder(found.results.folder).predictions_path("c00s1").write_bytes(b"torn")
    assert count_confusions(found, compare_variants(found.results)) == []
    assert [sentence.split(" ")[0] for sentence in found.left_out] == [
        "predictions/c00s0.npz", "predictions/c00s1.npz",
    ]  # fmt: skip


def test_classes_by_the_thousand_are_read_and_take_little_memory(tmp_path):
    found = stored(tmp_path, {"a": [ONE_WRONG]})
    labels = np.array([32_000] * 7 + [5])
    predicted(found.results.folder, "c00s0", [32_000] * 7 + [7], labels)
    tracemalloc.start()
    (confusion,) = count_confusions(found, compare_variants(found.results))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000_000, "a whole matrix has 8 GB"
    assert found.left_out == []
    assert (confusion.matrix, confusion.pairs) == (None, [("5", "7", 1.0)])


def test_without_predictions_there_is_nothing_to_tell(tmp_path):
    folder = write_results(tmp_path / "results", {"a": [cell(PERFECT)], "b": [None]}, hypotheses=[CLAIM])
    found = Stored(load_results(folder))
    assert image_errors(found, judge(found.results)) == {}
    assert count_confusions(found, compare_variants(found.results)) == []
    assert found.left_out == []


def test_class_names_are_the_grid_s(tmp_path):
    grid = stored(tmp_path / "named", {"a": [PERFECT]}, class_names=["shirt", "shoe"]).results.grid
    assert list(class_names(grid, 2)) == ["shirt", "shoe"]
    assert list(class_names(grid, 3)) == ["0", "1", "2"]
