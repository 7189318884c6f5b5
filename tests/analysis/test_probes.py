import json

import pytest

from nin_bench.analysis.analysis import analyse
from nin_bench.analysis.probes import find_probes
from nin_bench.results import load_results
from nin_bench.results.probes import ProbeFile
from tests.probes_fixture import answers, write_probed
from tests.report_fixture import COLLAPSED, metrics, record, write_results


def test_a_grid_that_asks_nothing_has_no_answers(tmp_path):
    assert find_probes(load_results(write_results(tmp_path / "r", {"a": [record(metrics=metrics(0.9))]}))) is None


def test_changes_are_those_of_the_same_network(tmp_path):
    found = find_probes(load_results(write_probed(tmp_path / "r")))
    pooled, dense = found.variants
    assert (pooled.label, dense.label) == ("pooled", "dense")
    still, moved = pooled.shift
    assert (still.change, still.accuracy.n) == (0, 8)
    # each of eight networks loses two points and as many thousandths as its seed: the median Walsh average
    assert moved.change == pytest.approx(-0.0235)
    assert moved.test == "signed-rank"
    assert moved.accuracy.mean == pytest.approx(0.9 - 0.0235)
    # 6 changes: two variants, one move and two sizes each; of eight pairs all agree
    assert found.level == pytest.approx(0.05 / 6)
    assert moved.interval == (pytest.approx(-0.027), pytest.approx(-0.02))


def test_what_is_not_possible_has_a_reason_and_no_numbers(tmp_path):
    found = find_probes(load_results(write_probed(tmp_path / "r")))
    small, own = found.variants[1].resolution
    assert (small.at, small.not_possible) == (99, "output (Linear): too few")
    assert (small.accuracy.n, small.change, small.interval, small.test) == (0, None, None, None)
    assert (own.at, own.accuracy.n, own.change) == (131, 8, 0)
    assert found.variants[1].own_resolution == 131
    assert found.without_maps == ["dense"]


def test_maps_are_those_of_the_first_network_that_did_not_fail(tmp_path):
    found = find_probes(load_results(write_probed(tmp_path / "r", first=metrics(0.9, **COLLAPSED))))
    [network] = found.networks
    assert (network.label, network.seed, network.cell_id) == ("pooled", 1, "c00s1")
    assert network.classes == ["0", "1"]
    assert [image.label for image in network.images] == ["0", "1"]
    assert network.images[0].maps == [[[1, 0.5]], [[-0.5, 0]]]


def test_networks_that_did_not_answer_are_named(tmp_path):
    folder = write_probed(tmp_path / "r")
    (folder / "probes" / "c00s3.json").unlink()
    (folder / "probes" / "c01s2.json").write_text("{")
    other = ProbeFile.parse({**answers("c01s4", 0.5, dense=True)})
    other.write(folder / "probes" / "c01s4.json")
    analysis = analyse(load_results(folder))
    lacking = {one.label: one.seeds for one in analysis.probes.lacking}
    assert lacking == {"pooled": [3], "dense": [2, 4]}
    assert [line.split(" was left out")[0] for line in analysis.left_out] == [
        "probes/c01s2.json", "probes/c01s4.json",
    ]  # fmt: skip


def test_answers_to_fewer_probes_count_as_none(tmp_path):
    folder = write_probed(tmp_path / "r")
    content = json.loads((folder / "grid.json").read_text())
    content["probes"]["shift"] = [0, 2, 4]
    (folder / "grid.json").write_text(json.dumps(content))
    found = find_probes(load_results(folder))
    assert found.variants == []
    assert {one.label: len(one.seeds) for one in found.lacking} == {"pooled": 8, "dense": 8}


def test_a_network_that_lost_a_class_calls_for_the_sign_test(tmp_path):
    folder = write_probed(tmp_path / "r", first=metrics(0.9, num_lost_classes=1))
    found = find_probes(load_results(folder))
    assert {point.test for point in found.variants[0].shift} == {"sign"}
    assert {point.test for point in found.variants[1].shift} == {"signed-rank"}
