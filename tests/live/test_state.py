"""What the page is told of a run, from its events."""

from nin_bench.executors import Slot
from nin_bench.failures import VariantStopped
from nin_bench.live.state import MOST_POINTS, RunState
from nin_bench.planning import PlannedCell
from nin_bench.runner.cost_benchmark import BenchmarkStarted, SampleEnded
from nin_bench.runner.events import CellEnded, CellResumed, CellStarted, EpochEnded, Planned
from nin_bench.runner.record import make_record
from tests.cells import make_cell

CELLS = [make_cell(seed=seed) for seed in range(4)]
PLANNED = Planned(
    [PlannedCell(CELLS[0], "done", "trained"), *(PlannedCell(cell, "missing") for cell in CELLS[1:])],
    [Slot("cpu", 0)],
    ["a note"],
)


def told(*events) -> dict:
    state = RunState("tiny")
    for event in events:
        state(event)
    return state.as_dict()


def ended(seed: int, outcome: str, *, will_retry: bool = False) -> CellEnded:
    return CellEnded(CELLS[seed], make_record(CELLS[seed], outcome, started_at=""), will_retry)


def test_cells_are_counted_as_they_start_and_end():
    started = told(PLANNED, CellStarted(CELLS[1], Slot("cpu")))
    assert (started["stage"], started["num_waiting"], started["outcomes"]) == ("training", 2, {"trained": 1})
    assert [one["title"] for one in started["running"]] == ["mlp label, seed 1"]
    assert started["notes"] == ["a note"]
    events = [PLANNED, CellStarted(CELLS[1], Slot("cpu")), ended(1, "crashed", will_retry=True)]
    again = told(*events)
    assert (again["num_waiting"], again["outcomes"], again["running"]) == (3, {"trained": 1}, [])
    done = told(
        *events,
        CellStarted(CELLS[1], Slot("cpu")),
        ended(1, "trained"),
        VariantStopped("x", "", [CELLS[2].cell_id]),
    )
    assert (done["num_waiting"], done["outcomes"]) == (1, {"trained": 2})


def test_a_resumed_cell_has_its_whole_curve_and_a_long_one_is_thinned():
    rows = [{"epoch": number, "train_loss": 1 / number, "validation_accuracy": None} for number in range(1, 1002)]
    state = told(
        PLANNED,
        CellStarted(CELLS[1], Slot("cpu")),
        CellResumed(CELLS[1], is_resumed=True, history=rows[:-1], notes=["mended"]),
        EpochEnded(CELLS[1], rows[-1]),
    )
    [running] = state["running"]
    assert len(running["rows"]) <= MOST_POINTS
    assert running["rows"][-1] == (1001, 1 / 1001, None)
    assert running["rows"][0][0] <= 6
    assert state["notes"] == ["a note", "mended"]


def test_measuring_is_a_stage_of_its_own():
    begun = BenchmarkStarted(num_variants=2, num_samples=16)
    sample = SampleEnded(label="a", stage="speed", num_left=3, error=None)
    measuring = told(begun, sample)
    assert (measuring["stage"], measuring["samples"]) == ("measuring", {"done": 13, "total": 16})
