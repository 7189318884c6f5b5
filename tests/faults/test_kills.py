"""Runs that are killed by SIGKILL at any time, again and again, come to what a run comes to that is left alone."""

import itertools
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests import looks_cells
from tests.faults.places import NETWORKS, STUBS, Place
from tests.faults.scale import scaled
from tests.faults.warm import Forked, Warm
from tests.processes import linux

pytestmark = linux

INTERVAL = 0.3
"""Seconds between two checkpoints."""


def seconds_of(server: Warm, place: Place, function: str, *arguments: object) -> float:
    """Run to the end, and say how long it took."""
    started = time.monotonic()
    assert server.run(function, str(place), *arguments, log=place.log) == 0, place.printed()
    return time.monotonic() - started


def killed_until_done(
    server: Warm, place: Place, function: str, *arguments: object, longest: float
) -> Iterator[Forked]:
    """Run, kill at a random time, and run again, until a run comes to its end; yields after each kill."""
    moments = random.Random(str(place.path.name))
    while True:
        process = server.start(function, str(place), *arguments, log=place.log)
        status = process.wait(moments.uniform(0.0, longest))
        if status is not None:
            assert status == 0, place.printed()
            return
        process.kill()
        yield process
        longest *= 1.1  # at last it gets through


def test_stubs_killed_at_any_time_lose_no_record_that_was_acknowledged(server, tmp_path, faults):
    whole = Place(tmp_path / "whole", STUBS)
    seconds = seconds_of(server, whole, "scenarios:run_stubs")
    expected = whole.table()
    assert len(expected) == 6

    kills = 0
    for number in itertools.count():
        place, before = Place(tmp_path / str(number), STUBS), kills
        for process in killed_until_done(server, place, "scenarios:run_stubs", longest=seconds):
            kills += 1
            assert process.survivors() == set()
            place.check()
        assert place.table() == expected
        assert len(place.acknowledged()) <= 6
        assert place.temporary_files() == set()
        if kills >= scaled(3, 200):
            break
        seconds *= 1.0 if kills > before else 0.8  # it came through: aim earlier
    faults("a run of stubs killed at a random time", kills)


def test_runs_killed_at_any_time_decide_the_same_and_train_the_same_cells(server, tmp_path, faults):
    def decided(place: Place) -> set[tuple[Any, ...]]:
        looks = place.results().read_grid().looks
        assert len(looks) == len(looks_cells.LOOKS), "a look was taken twice"
        return {(look.hypothesis, look.n, look.seeds, look.verdict, look.decided) for look in looks}

    whole = Place(tmp_path / "whole", looks_cells.GRID)
    seconds = seconds_of(server, whole, "scenarios:run_looks")
    expected, cells = decided(whole), {row[0] for row in whole.table()}
    assert {look[:2] + look[3:4] for look in expected} == set(looks_cells.LOOKS)

    kills = 0
    for number in itertools.count():
        place, before = Place(tmp_path / str(number), looks_cells.GRID), kills
        taken: tuple[Any, ...] = ()
        for process in killed_until_done(server, place, "scenarios:run_looks", longest=seconds):
            kills += 1
            assert process.survivors() == set()
            if any(place.path.rglob("grid.json")):
                now = place.results().read_grid().looks
                assert now[: len(taken)] == taken, "a decision was taken back"
                taken = now
        assert decided(place) == expected
        assert {row[0] for row in place.table()} == cells
        if kills >= scaled(2, 40):
            break
        seconds *= 1.0 if kills > before else 0.8
    faults("a run killed between looks", kills)


def test_networks_killed_at_any_time_go_on_where_they_were(server, tmp_path, faults):
    whole = Place(tmp_path / "whole", NETWORKS)
    seconds = seconds_of(server, whole, "scenarios:run_networks", INTERVAL)
    expected = whole.table()
    assert len(expected) == 3

    kills = resumed = 0
    for number in itertools.count():
        place, before = Place(tmp_path / str(number), NETWORKS), kills
        for process in killed_until_done(server, place, "scenarios:run_networks", INTERVAL, longest=seconds):
            kills += 1
            assert process.survivors() == set()
            place.check()
        assert place.table() == expected
        assert place.temporary_files() == set()
        assert list(place.path.rglob("checkpoints/*.ckpt")) == []
        resumed += steps_redone(place.path / "steps")
        if kills >= scaled(1, 40):
            break
        seconds *= 1.0 if kills > before else 0.8
    faults("a run of networks killed at a random time", kills)
    faults("a cell that went on from a checkpoint after it", resumed)


def steps_redone(log: Path) -> int:
    """Check that no attempt did more than an interval's steps again; how many went on from a checkpoint."""
    cells = defaultdict(list)
    for line in log.read_text().splitlines():
        cell_id, what, number, time = line.split()
        cells[cell_id].append((what, int(number), float(time)))
    resumed = 0
    for events in cells.values():
        saved, since, done, last = 0, None, 0, 0.0
        for what, number, time in events:
            if what == "saved":
                saved, since = number, time
            elif number == done + 1:  # one step after the other
                done = number
                started = since if since is not None else time
                # The step before it was no time to save yet.
                assert last - started < INTERVAL or last == 0.0
            else:
                assert number == saved + 1, "an attempt goes on from the last checkpoint"
                resumed += saved > 0
                done, since = number, None
            last = time if what == "step" else 0.0
    return resumed
