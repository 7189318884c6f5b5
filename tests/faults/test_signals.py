"""The signals that ask for an end, once and twice, at every phase of a run."""

import signal

import pytest

from nin_bench.signals import STOP_SIGNALS
from tests.faults.places import ONE_NETWORK, STUBS, Place
from tests.faults.scale import WHOLE, scaled
from tests.faults.warm import Warm
from tests.processes import linux

pytestmark = linux

PHASES = ["planning", "loading data", "training", "evaluating", "writing the report"]
# More epochs than those after which it waits to be asked to stop.
GRID = ONE_NETWORK.replace("epochs: 2", "epochs: 4")
SIGNALS = [*STOP_SIGNALS]


@pytest.fixture(scope="module")
def expected(server, tmp_path_factory) -> object:
    """What the grid comes to when nobody disturbs it."""
    place = Place(tmp_path_factory.mktemp("whole"), GRID)
    assert server.run("scenarios:run_command_within", str(place), 0, log=place.log) == 0, place.printed()
    return place.table()


def cases() -> list[tuple[str, signal.Signals, int]]:
    every = [(phase, number, times) for phase in PHASES for number in SIGNALS for times in (1, 2)]
    return scaled(
        [
            ("loading data", signal.SIGTERM, 1),
            ("training", signal.SIGHUP, 2),
            ("training", signal.SIGUSR1, 1),
        ],
        every,
    )


@pytest.mark.parametrize(("phase", "number", "times"), cases())
def test_a_run_that_is_signalled_ends_in_order_and_the_next_one_goes_on(
    server, tmp_path, faults, expected, phase, number, times
):
    place = Place(tmp_path, GRID)
    process = server.start(
        "scenarios:run_command_signalled", str(place), phase, number, times, False, log=place.log
    )
    status, printed = process.wait(), place.printed()
    assert status == 128 + number, printed
    assert process.survivors() == set()
    assert "Traceback" not in printed
    assert place.temporary_files() == set()
    if phase in ("planning", "loading data"):
        assert not (place.path / "results").exists()
    elif phase == "writing the report":
        assert place.table() == expected
    else:
        (outcome,) = [outcome for _, outcome, *_ in place.table()]
        assert outcome == "interrupted"
        saved = list(place.path.rglob("checkpoints/*.ckpt"))
        assert saved or times == 2, "it stopped in order, so it saved what it had"
        # Whoever comes next says where it goes on.
        assert ("goes on after epoch" in finish(server, place)) == bool(saved)
    if phase in ("planning", "loading data", "writing the report"):
        finish(server, place)
    assert place.table() == expected
    assert list(place.path.rglob("checkpoints/*.ckpt")) == []
    faults(f"{number.name} while {phase}, {['once', 'twice'][times - 1]}", 1)


def finish(server: Warm, place: Place) -> str:
    assert server.run("scenarios:run_command_within", str(place), 0, log=place.log) == 0, place.printed()
    return place.printed()


@pytest.mark.parametrize("number", scaled([signal.SIGINT], [signal.SIGINT, signal.SIGTERM]))
def test_a_second_signal_does_not_wait_for_a_worker_that_is_deaf(server, tmp_path, faults, number):
    place = Place(tmp_path, STUBS)
    process = server.start(
        "scenarios:run_command_signalled", str(place), "training", number, 2, True, log=place.log
    )
    assert process.wait() == 128 + number, place.printed()
    assert process.survivors() == set()
    records = [place.results().read_record(path.stem) for path in place.path.rglob("cells/*.json")]
    assert 1 <= len(records) <= 2
    for record in records:
        assert record.outcome == "interrupted"
        assert record.attempts[0].error == "killed, since the run had to stop at once"
    told = [record for record in records if record.history]
    assert all(record.metrics.num_macs == 11 for record in told)
    faults(f"{number.name} twice, workers deaf", 1)


@pytest.mark.skipif(not WHOLE, reason="make test-faults alone: it waits for workers that do not answer")
def test_a_worker_that_is_deaf_is_killed_in_the_end(server, tmp_path, faults):
    place = Place(tmp_path, STUBS)
    process = server.start(
        "scenarios:run_command_signalled",
        str(place),
        "training",
        signal.SIGTERM,
        1,
        True,
        log=place.log,
    )
    assert process.wait() == 128 + signal.SIGTERM, place.printed()
    assert process.survivors() == set()
    faults("SIGTERM once, workers deaf", 1)
