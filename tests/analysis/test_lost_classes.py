from nin_bench.analysis.lost_classes import LosingNetworks, find_lost_classes
from nin_bench.analysis.predictions import Stored
from nin_bench.results import Record, load_results
from tests.predictions_fixture import LABELS, PERFECT, SILENT, cell, stored
from tests.report_fixture import write_results

NEVER_TWO = [*PERFECT[:4], 0, 0, 1, -1]
"""Class 2 is never predicted."""


def test_a_dead_class_is_named_with_its_cost_and_its_epoch(tmp_path):
    found = stored(tmp_path, {"a": [PERFECT, NEVER_TWO]}, {"num_dead_maps": 1, "dead_maps": [2]})
    epochs = [{"epoch": 1, "dead_maps": [2]}, {"epoch": 2, "dead_maps": []}, {"epoch": 3, "dead_maps": [1, 2]}]
    found.results.records[1] = Record.parse({**found.results.records[1].model_dump(), "history": epochs})
    [lost], networks = find_lost_classes(found, ["a", "b", "gap", "fc"])
    assert (lost.label, lost.seed, lost.failed, lost.classes) == ("a", 1, True, ["2"])
    assert (lost.dead_maps, lost.died_after) == (["2"], {"2": 3})
    assert (lost.images_lost, lost.no_prediction, lost.accuracy) == (0.5, 1 / 8, 0.5)
    assert lost.accuracy_of_others == 1
    assert networks == [LosingNetworks("a", num_lost=1, num_known=2)]


def test_a_network_that_learned_may_lose_a_class_with_any_head(tmp_path):
    dense = {"num_dead_maps": None, "dead_maps": None}
    found = stored(tmp_path, {"gap": [NEVER_TWO], "fc": [NEVER_TWO]})
    metrics = found.results.records[1].metrics.model_copy(update=dense)
    found.results.records[1] = found.results.records[1].model_copy(update={"metrics": metrics})
    lost, networks = find_lost_classes(found, ["a", "b", "gap", "fc"])
    assert [(one.label, one.failed, one.classes, one.dead_maps) for one in lost] == [
        ("gap", False, ["2"], []), ("fc", False, ["2"], None),
    ]  # fmt: skip
    assert [(one.label, one.num_lost, one.num_known) for one in networks] == [("gap", 1, 1), ("fc", 1, 1)]


def test_a_class_that_no_test_image_has_is_not_lost(tmp_path):
    found = stored(tmp_path, {"a": [SILENT]})  # of classes 0 to 2; the data may have more
    assert find_lost_classes(found, ["a", "b", "gap", "fc"]) == (
        [],
        [LosingNetworks("a", num_lost=0, num_known=1)],
    )


def test_a_network_that_predicts_nothing_lost_every_class(tmp_path):
    [lost], _ = find_lost_classes(
        stored(tmp_path, {"a": [[-1] * len(LABELS)]}, {"validation_accuracy": 0.0}), ["a", "b", "gap", "fc"]
    )
    assert (lost.classes, lost.images_lost, lost.accuracy_of_others) == (["0", "1", "2"], 1.0, None)


def test_an_older_record_s_dead_classes_are_those_never_predicted(tmp_path):
    found = stored(tmp_path, {"a": [[0, 0, 1, 1, 0, 0, 0, 0]]}, {"num_dead_maps": 1, "dead_maps": None})
    [lost], _ = find_lost_classes(found, ["a", "b", "gap", "fc"])
    assert (lost.classes, lost.dead_maps, lost.died_after, lost.images_lost) == (["2"], ["2"], None, 0.5)
    # two classes are never predicted and one map is dead: which one, nobody can tell
    (tmp_path / "two").mkdir()
    two = {"num_dead_maps": 1, "dead_maps": None}
    [unclear], _ = find_lost_classes(stored(tmp_path / "two", {"a": [[0] * 8]}, two), ["a", "b", "gap", "fc"])
    assert (unclear.classes, unclear.dead_maps) == (["1", "2"], None)


def test_without_predictions_dead_maps_tell(tmp_path):
    dead = cell(PERFECT, healthy=False, num_dead_maps=1, dead_maps=[2])
    folder = write_results(tmp_path / "results", {"a": [cell(PERFECT), dead]})
    [lost], networks = find_lost_classes(Stored(load_results(folder)), ["a", "b", "gap", "fc"])
    assert (lost.seed, lost.classes, lost.images_lost) == (1, ["2"], None)
    assert networks == [LosingNetworks("a", num_lost=1, num_known=2)]


def test_only_the_variants_asked_for_are_looked_at(tmp_path):
    found = stored(tmp_path, {"a": [NEVER_TWO], "b": [NEVER_TWO]})
    lost, networks = find_lost_classes(found, ["b"])
    assert ([one.label for one in lost], [one.label for one in networks]) == (["b"], ["b"])
