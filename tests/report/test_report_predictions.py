import numpy as np
import pytest
from report_fixture import metrics, record, write_results

from nin_bench.data.sources import DATASETS
from nin_bench.report.class_names import NAMES, class_names
from nin_bench.report.hypotheses import judge
from nin_bench.report.predictions import Stored, autopsies, count_confusions, image_errors
from nin_bench.report.tables import compare_variants
from nin_bench.results import ResultsFolder, load_results

LABELS = np.array([0, 0, 1, 1, 2, 2, 2, 2])
CLAIM = {
    "id": "better", "says": "A is better.", "primary": True, "metric": "test_accuracy", "compare": ["a", "b"],
    "expect": "greater", "margin": 0.0, "factor": None,
}  # fmt: skip


def predicted(folder, cell_id, answers, labels=LABELS):
    ResultsFolder(folder).write_predictions(
        cell_id,
        {
            "predicted": np.array(answers, dtype=np.int16),
            "probability": np.full(len(answers), 0.5, dtype=np.float32),
            "label": labels.astype(np.int16),
        },
    )


def cell(answers, history=None, **others):
    return record(metrics=metrics(float(np.mean(np.array(answers) == LABELS)), **others), history=history)


def stored(tmp_path, answers, dead=None, **grid):
    """Write cells by variant, with their predictions; `dead` are further metrics of the last one."""
    variants = {label: [cell(one) for one in of_seeds] for label, of_seeds in answers.items()}
    if dead is not None:
        last = list(answers)[-1]
        variants[last][-1] = cell(answers[last][-1], healthy=False, **dead)
    folder = write_results(tmp_path / "results", variants, **grid)
    for number, of_seeds in enumerate(answers.values()):
        for seed, one in enumerate(of_seeds):
            predicted(folder, f"c{number:02}s{seed}", one)
    return Stored(load_results(folder))


PERFECT = LABELS.tolist()
ONE_WRONG = [1, *PERFECT[1:]]
SILENT = [*PERFECT[:6], -1, 0]


def test_the_images_own_error_is_that_of_pairs(tmp_path):
    found = stored(tmp_path, {"a": [PERFECT, PERFECT], "b": [ONE_WRONG, SILENT]}, hypotheses=[CLAIM])
    errors = image_errors(found, judge(found.results))["better"]
    assert (errors["num_seeds"], errors["num_images"], errors["difference"]) == (2, 8, pytest.approx(3 / 16))
    by_image = [0.5, 0, 0, 0, 0, 0, 0.5, 0.5]
    assert errors["images_error"] == pytest.approx(np.std(by_image, ddof=1) / np.sqrt(8))


def test_confusions_are_shares_of_a_class(tmp_path):
    found = stored(tmp_path, {"a": [ONE_WRONG, SILENT]})
    [confusion] = count_confusions(found, compare_variants(found.results))
    assert confusion.num_cells == 2
    # of class 0's two images one was taken for class 1, by one of two networks; of class 2's four one for class 0
    assert confusion.matrix == [[0.75, 0.25, 0, 0], [0, 1, 0, 0], [0.125, 0, 0.75, 0.125]]
    assert confusion.pairs == [("0", "1", 0.25), ("2", "0", 0.125), ("2", "nothing", 0.125)]


def test_a_dead_class_is_named_with_its_cost_and_its_epoch(tmp_path):
    gone = [*PERFECT[:4], 0, 0, 1, -1]  # class 2 is never predicted
    found = stored(tmp_path, {"a": [PERFECT, gone]}, {"num_dead_maps": 1, "dead_maps": [2]})
    epochs = [{"epoch": 1, "dead_maps": [2]}, {"epoch": 2, "dead_maps": []}, {"epoch": 3, "dead_maps": [1, 2]}]
    found.results.records[1]["history"] = epochs
    [autopsy] = autopsies(found)
    assert (autopsy.label, autopsy.seed, autopsy.classes, autopsy.died_after) == ("a", 1, ["2"], {"2": 3})
    assert (autopsy.images_lost, autopsy.no_prediction, autopsy.accuracy) == (0.5, 1 / 8, 0.5)
    assert autopsy.accuracy_of_others == 1


def test_an_older_record_s_dead_classes_are_those_never_predicted(tmp_path):
    found = stored(tmp_path, {"a": [[0, 0, 1, 1, 0, 0, 0, 0]]}, {"num_dead_maps": 1})
    [autopsy] = autopsies(found)
    assert (autopsy.classes, autopsy.died_after, autopsy.images_lost) == (["2"], None, 0.5)
    # two classes are never predicted and one map is dead: which one, nobody can tell
    (tmp_path / "two").mkdir()
    [unknown] = autopsies(stored(tmp_path / "two", {"a": [[0] * 8]}, {"num_dead_maps": 1}))
    assert (unknown.classes, unknown.images_lost) == (None, None)


def test_predictions_that_do_not_fit_their_record_are_left_out_and_named(tmp_path):
    found = stored(tmp_path, {"a": [PERFECT, ONE_WRONG]})
    predicted(found.results.folder, "c00s0", SILENT)
    ResultsFolder(found.results.folder).predictions_path("c00s1").write_bytes(b"torn")
    assert count_confusions(found, compare_variants(found.results)) == []
    assert [sentence.split(" ")[0] for sentence in found.left_out] == [
        "predictions/c00s0.npz", "predictions/c00s1.npz",
    ]  # fmt: skip


def test_class_numbers_without_end_take_no_memory(tmp_path):
    found = stored(tmp_path, {"a": [PERFECT]})
    labels = np.array([32_000] * 8)
    predicted(found.results.folder, "c00s0", labels.tolist(), labels)
    assert count_confusions(found, compare_variants(found.results)) == []
    assert found.left_out == ["predictions/c00s0.npz was left out: it names classes beyond 0 to 999."]


def test_without_predictions_there_is_nothing_to_tell(tmp_path):
    folder = write_results(tmp_path / "results", {"a": [cell(PERFECT)], "b": [None]}, hypotheses=[CLAIM])
    found = Stored(load_results(folder))
    assert image_errors(found, judge(found.results)) == {}
    assert count_confusions(found, compare_variants(found.results)) == []
    assert (autopsies(found), found.left_out) == ([], [])


def test_class_names_are_those_of_the_data():
    assert all(DATASETS[name].classes == classes for name, classes in NAMES.items())
    assert class_names("fashion_mnist", 10)[6] == "Shirt"
    assert class_names("fashion_mnist", 3) == class_names(None, 3) == ["0", "1", "2"]
