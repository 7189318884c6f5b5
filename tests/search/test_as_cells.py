"""What follows a run hears of a search's networks as of cells."""

import pytest

from nin_bench.executors import Slot
from nin_bench.runner.events import CellEnded, CellStarted, EpochEnded, Event, Planned
from nin_bench.search.as_cells import TrialsAsCells
from nin_bench.search.events import TrialEnded, TrialEpoch, TrialEpochEnded, TrialResult, TrialStarted
from tests.cells import make_cell
from tests.search.search_grid_text import ONE

CELLS = tuple(make_cell(seed=seed) for seed in (10_000, 10_001))
STARTED = TrialStarted("s 0", "mlp", 0, {"lr": 0.1}, Slot("cpu"), CELLS)
ROW = {"epoch": 1, "train_loss": 2.0, "validation_accuracy": 0.5}


def told(*events) -> list[Event]:
    heard: list[Event] = []
    listener = TrialsAsCells(heard.append)
    for event in events:
        listener(event)
    return heard


def known(row) -> dict[str, object]:
    return {name: value for name, value in row.items() if value is not None}


def test_every_network_s_epochs_and_end_are_those_that_its_study_keeps(bench):
    heard: list[Event] = []
    text = (
        ONE.replace("high: 1.0", "high: 1.0e+38").replace("trials: 3", "trials: 2").replace("seeds: 1", "seeds: 2")
    )
    bench.search(text, on_event=TrialsAsCells(heard.append), workers=1)
    assert isinstance(heard[0], Planned)
    ended = [event for event in heard if isinstance(event, CellEnded)]
    runs = [(trial, run) for trial in bench.trials("mlp hidden=16") for run in trial["runs"]]
    assert [run["outcome"] for _, run in runs] == ["trained", "trained", "diverged", "diverged"]
    assert len({event.cell.cell_id for event in ended}) == 4
    for event, (trial, run) in zip(ended, runs, strict=True):
        cell, record = event.cell, event.record
        assert (cell.seed, cell.recipe.lr) == (run["seed"], trial["params"]["lr"])
        assert cell.label == f"mlp hidden=16, lr={trial['params']['lr']}"
        rows = [one.row for one in heard if isinstance(one, EpochEnded) and one.cell == cell]
        assert [known(row) for row in rows] == run["history"] == [row.known() for row in record.history]
        assert (record.outcome, record.metrics.failed) == (run["outcome"], run["failed"])
        if rows:
            assert record.metrics.validation_accuracy == run["value"]


@pytest.mark.parametrize(
    ("result", "outcomes"),
    [
        (TrialResult(error="worker died"), ["crashed", "crashed"]),
        (
            TrialResult(
                error="seed 10001: out_of_memory: ",
                runs=[{"seed": 10_000, "outcome": "trained"}, {"seed": 10_001, "outcome": "out_of_memory"}],
            ),
            ["interrupted", "out_of_memory"],
        ),
        (
            TrialResult(pruned=True, runs=[{"seed": cell.seed, "outcome": "trained"} for cell in CELLS]),
            ["interrupted"] * 2,
        ),
    ],
    ids=["killed", "lost", "pruned"],
)
def test_what_ended_before_its_time_is_told_with_its_outcome(result, outcomes):
    epoch = TrialEpochEnded("s 0", TrialEpoch(1, 0.5, {10_001: ROW}))
    heard = told(STARTED, epoch, TrialEnded("s 0", result, will_retry=True))
    assert heard[:3] == [*(CellStarted(cell, Slot("cpu")) for cell in CELLS), EpochEnded(CELLS[1], ROW)]
    assert [(event.record.outcome, event.will_retry) for event in heard[3:]] == [(one, True) for one in outcomes]
