"""Event files of real runs, read back by TensorBoard's own reader."""

from pathlib import Path

import pytest

pytest.importorskip("tensorboard", reason="needs the group extras")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.listeners.conftest import ask_to_stop, curve, kill_the_worker, once

pytestmark = pytest.mark.extra


def read(folder: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Every point of every cell, by the start of its id and by name; nothing is purged or sampled."""
    found = {}
    for place in (folder / "tensorboard").iterdir():
        events = EventAccumulator(str(place), size_guidance={"scalars": 0}, purge_orphaned_data=False).Reload()
        points = {tag: [(one.step, one.value) for one in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
        found[place.name.rpartition(" ")[2]] = points
    return found


def assert_whole(followed) -> None:
    """Each point of each record is there, and once."""
    found = read(followed.path)
    for record in followed.records():
        points = found.pop(record.cell_id[:8])
        for name in ("train_loss", "validation_accuracy", "lr"):
            assert points.get(name, []) == [(epoch, pytest.approx(value)) for epoch, value in curve(record, name)]
        if record.outcome == "trained":
            assert points["final/test_accuracy"] == [(4, pytest.approx(record.metrics.test_accuracy))]
    assert found == {}


def test_a_run_s_curves_are_the_records(followed):
    run = followed("tensorboard")
    run.run()
    assert [record.outcome for record in run.records()] == ["trained", "diverged"]
    assert_whole(run)


def test_a_run_that_was_stopped_and_resumed_doubles_no_point(followed):
    run = followed("tensorboard")
    run.run(once(ask_to_stop, 2))
    assert [record.outcome for record in run.records()] == ["interrupted"]
    run.run()
    assert [len(record.attempts) for record in run.records()] == [2, 1]
    assert_whole(run)


def test_a_cell_whose_worker_was_killed_starts_over_and_doubles_no_point(followed):
    run = followed("tensorboard")
    run.run(once(kill_the_worker, 3), retries=1, checkpoint_seconds=60.0)
    assert [one.outcome for one in run.records()[0].attempts] == ["crashed", "trained"]
    assert_whole(run)
