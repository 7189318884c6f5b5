import multiprocessing
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from nin_bench.catalog import RegistryCatalog
from nin_bench.environment import describe_machine
from nin_bench.errors import InputError, ResultsError
from nin_bench.estimates import RunEstimate
from nin_bench.grid import Grid
from nin_bench.results import Record, ResultsFolder, load_results
from nin_bench.results.folder_lock import sole_writer
from nin_bench.results.records import Metrics
from nin_bench.runner.cell_queue import TRAIN, CellTask
from nin_bench.runner.events import CellEnded, CellResumed, CellStarted, EpochEnded, Estimated, Event, Planned
from nin_bench.runner.run import RunSummary, run_grid
from nin_bench.runner.session import RunOptions
from tests.cells import repeated
from tests.costs_fixture import cost_entry, write_costs
from tests.waiting_cells import WAITING, WAITING_ONCE

GRID = """
schema: 1
name: tiny
data: {name: digits}
recipe: {epochs: 1, batch_size: 64, lr: 0.1, momentum: 0.9}
seeds: 2
models:
  - {name: mlp, hidden: [16, 32]}
"""
ONE_CELL = GRID.replace("seeds: 2", "seeds: 1").replace("[16, 32]", "16")
ENDLESS = ONE_CELL.replace("epochs: 1", "epochs: 100000")
FIVE = ONE_CELL.replace("epochs: 1", "epochs: 5")
NETWORKS = GRID.replace("{name: mlp, hidden: [16, 32]}", "{name: nin_mnist, width: 0.25, pointwise: [0, 1]}")


class Bench:
    """A folder for one grid's results, and what its runs told."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path
        self.folder = ResultsFolder(tmp_path / "results" / "tiny" / "full")
        self.events: list[Event] = []

    def grid(self, text: str = GRID, **options: Any) -> Grid:
        path = self.tmp_path / "grid.yaml"
        path.write_text(text)
        return Grid.load(path, RegistryCatalog(self.tmp_path), **options)

    def run(
        self,
        text: str = GRID,
        *,
        on_event: Any = None,
        selection: dict[str, Any] | None = None,
        task: CellTask = TRAIN,
        **options: Any,
    ) -> RunSummary:
        self.events = []

        def listen(event: Event) -> None:
            self.events.append(event)
            if on_event is not None:
                on_event(event)

        options = {"device": "cpu", "workers": 2, "data_dir": self.tmp_path, "measure": False, **options}
        return run_grid(
            self.grid(text, **(selection or {})), self.folder, RunOptions(**options), listen, task=task
        )

    def told(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def states(self) -> list[str]:
        (planned,) = self.told(Planned)
        return [cell.state for cell in planned.cells]

    def records(self) -> list[Record]:
        return load_results(self.folder.path).records

    def record(self) -> Record:
        (record,) = self.records()
        return record

    def files(self) -> dict[str, bytes]:
        paths = (path for path in self.folder.path.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder.path)): path.read_bytes() for path in paths}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(scope="module")
def bench_after(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Bench]:
    """Gives a bench as a run left it; the run itself takes place once."""
    made: dict[str, Bench] = {}

    def bench_after(text: str, **options: Any) -> Bench:
        if text not in made:
            made[text] = Bench(tmp_path_factory.mktemp("made"))
            made[text].run(text, **options)
        copied = Bench(tmp_path_factory.mktemp("copied"))
        shutil.copytree(made[text].folder.path, copied.folder.path)
        return copied

    return bench_after


@pytest.fixture
def done(bench_after: Callable[..., Bench]) -> Bench:
    """After a run of one cell, which is trained."""
    return bench_after(ONE_CELL)


@pytest.fixture
def stopped(bench_after: Callable[..., Bench]) -> Bench:
    """After a run of one cell of five epochs, which was stopped after two."""
    return bench_after(FIVE, on_event=stop, task=WAITING)


def attempts(record: Record) -> list[str]:
    return [attempt.outcome for attempt in record.attempts]


def kill_the_worker(event: Event) -> None:
    """As the system does when memory runs out, as soon as a cell has told of an epoch."""
    if isinstance(event, EpochEnded):
        for process in multiprocessing.active_children():
            os.kill(process.pid, signal.SIGKILL)


# A run and the next one


def test_a_grid_is_run_to_its_records(bench):
    summary = bench.run()
    assert summary == RunSummary(Counter({"trained": 4}), num_skipped=0, signal_number=None)
    records = bench.records()
    assert [(record.label, record.cell.seed) for record in records] == [
        ("mlp hidden=16", 0), ("mlp hidden=16", 1), ("mlp hidden=32", 0), ("mlp hidden=32", 1),
    ]  # fmt: skip
    for record in records:
        assert (record.outcome, attempts(record), len(record.history)) == ("trained", ["trained"], 1)
        assert record.environment["workers"] == 2
        assert record.environment["device"] == "cpu"
        predictions = bench.folder.read_predictions(record.cell_id)
        share_right = (predictions["predicted"] == predictions["label"]).mean()
        assert record.metrics.test_accuracy == share_right > 0.5
    text = bench.folder.read_grid().model_dump_json() + "".join(record.model_dump_json() for record in records)
    assert str(bench.tmp_path) not in text
    assert str(Path.home()) not in text


def test_what_a_run_tells_of_itself(bench):
    bench.run(workers=1)
    kinds = [type(event) for event in bench.events]
    assert kinds == [Planned, *[CellStarted, EpochEnded, CellEnded] * 4]
    assert bench.states() == ["missing"] * 4
    # Seeds run in the outer loop: a run that is cut short has compared all variants on its first seeds.
    order = [(event.cell.label, event.cell.seed) for event in bench.told(CellStarted)]
    assert order == [("mlp hidden=16", 0), ("mlp hidden=32", 0), ("mlp hidden=16", 1), ("mlp hidden=32", 1)]
    for told, record in zip(bench.told(CellEnded), bench.records(), strict=True):
        assert bench.folder.read_record(told.cell.cell_id) == told.record
        assert not told.will_retry
        assert record.outcome == "trained"


def test_a_second_run_finds_all_done_and_changes_nothing(bench_after):
    bench = bench_after(GRID)
    before = bench.files()
    assert bench.run() == RunSummary(Counter({"trained": 4}), num_skipped=4)
    assert bench.states() == ["done"] * 4
    assert [type(event) for event in bench.events] == [Planned]
    assert bench.files() == before


def test_a_narrowed_run_leaves_the_rest_for_later(bench):
    first = bench.run(selection={"seeds": [1], "only": "*16"})
    assert first == RunSummary(Counter({"trained": 1}))
    assert len(bench.folder.read_grid().cells) == 4
    assert bench.run() == RunSummary(Counter({"trained": 4}), num_skipped=1)


def test_seeds_and_models_may_be_added(done):
    assert done.run() == RunSummary(Counter({"trained": 4}), num_skipped=1)


def test_a_record_is_of_its_cell_in_whatever_grid(bench_after):
    bench = bench_after(GRID)
    other = ResultsFolder(bench.folder.path.parent.parent / "other" / "full")
    for part in ("cells", "predictions"):
        shutil.copytree(bench.folder.path / part, other.path / part)
    bench.folder = other
    more = GRID.replace("name: tiny", "name: other").replace("[16, 32]", "[16, 32, 48]")
    assert bench.run(more) == RunSummary(Counter({"trained": 6}), num_skipped=4)


@pytest.mark.parametrize(
    ("workers", "text"),
    [
        pytest.param(2, NETWORKS, id="with another number of workers"),
        pytest.param(
            1, NETWORKS.replace("[0, 1]", "[1, 0]").replace("seeds: 2", "seeds: [1, 0]"), id="turned round"
        ),
    ],
)
def test_results_do_not_depend_on_the_order_of_cells(bench_after, tmp_path, workers, text):
    bench, other = bench_after(NETWORKS, workers=1), Bench(tmp_path)
    other.run(text, workers=workers)

    theirs_by_id = {record.cell_id: record for record in other.records()}
    assert len(theirs_by_id) == 4
    for ours in bench.records():
        theirs = theirs_by_id[ours.cell_id]
        assert ours.cell == theirs.cell
        assert repeated(ours.metrics) == repeated(theirs.metrics)
        assert [repeated(row) for row in ours.history] == [repeated(row) for row in theirs.history]
        one, two = (a.folder.read_predictions(ours.cell_id) for a in (bench, other))
        assert all((one[name] == two[name]).all() for name in one)


# Records that are not as they should be


def test_a_torn_record_is_quarantined_and_its_cell_runs_again(done):
    whole = done.record()
    path = done.folder.record_path(whole.cell_id)
    path.write_bytes(path.read_bytes()[:100])
    assert done.run(ONE_CELL) == RunSummary(Counter({"trained": 1}))
    (planned,) = done.told(Planned)
    (note,) = planned.notes
    assert note.startswith(f"cells/{path.name} is not whole JSON (")
    assert note.endswith(f"quarantined as {path.name}.corrupt, its cell runs again")
    assert path.with_name(f"{path.name}.corrupt").stat().st_size == 100
    assert done.record().metrics.test_accuracy == whole.metrics.test_accuracy


def test_a_record_from_before_a_default_changed_is_replaced(done):
    record = done.record()
    cell = record.cell.model_copy(update={"recipe": record.cell.recipe.model_copy(update={"init_std": 0.05})})
    done.folder.write_record(record.model_copy(update={"cell": cell, "metrics": Metrics()}))
    assert done.run(ONE_CELL) == RunSummary(Counter({"trained": 1}))
    assert done.states() == ["outdated"]
    assert attempts(done.record()) == ["trained"]
    assert done.record().metrics.test_accuracy > 0.5


def test_a_fresh_run_starts_over(bench):
    for _ in range(2):
        summary = bench.run(ENDLESS, fresh=True, on_event=kill_the_worker)
        assert summary == RunSummary(Counter({"crashed": 1}))
        assert attempts(bench.record()) == ["crashed"]


def test_a_cell_that_no_longer_ends_well_keeps_no_old_predictions(done):
    cell_id = done.record().cell_id
    assert done.folder.read_predictions(cell_id) is not None
    done.folder.record_path(cell_id).unlink()
    done.run(ONE_CELL, on_event=kill_the_worker)
    assert done.record().outcome == "crashed"
    assert done.folder.read_predictions(cell_id) is None


def test_a_fresh_attempt_that_fails_does_not_cost_the_good_record(done):
    before = done.record()
    summary = done.run(ONE_CELL, fresh=True, on_event=kill_the_worker)
    assert summary == RunSummary(Counter({"trained": 1}))
    assert done.record() == before
    assert done.folder.read_predictions(before.cell_id) is not None


# Cells that fail


def test_a_cell_that_fails_does_not_hold_up_the_rest(bench):
    text = GRID.replace("models:", "models:\n  - {name: mlp, hidden: 8, recipe: {lr: 1.0e+38}}")
    assert bench.run(text).outcomes == {"trained": 4, "diverged": 2}
    assert [record.outcome for record in bench.records()] == ["diverged"] * 2 + ["trained"] * 4


@pytest.mark.parametrize("workers", [1, 2])
def test_a_cell_that_crashed_is_tried_again_and_every_attempt_is_kept(bench, workers):
    bench.run(ENDLESS, on_event=kill_the_worker)
    bench.run(ENDLESS, on_event=kill_the_worker, retries=2, workers=workers)
    assert bench.states() == ["retry"]
    assert [event.will_retry for event in bench.told(CellEnded)] == [True, True, False]
    assert bench.record().outcome == "crashed"
    assert attempts(bench.record()) == ["crashed"] * 4


def test_a_cell_that_diverged_is_not_tried_again(bench):
    text = ONE_CELL.replace("lr: 0.1", "lr: 1.0e+38")
    bench.run(text, retries=3)
    assert attempts(bench.record()) == ["diverged"]
    assert bench.run(text) == RunSummary(Counter({"diverged": 1}), num_skipped=1)


def test_a_worker_that_is_killed_is_a_crash_with_its_cause_and_its_epochs(bench):
    summary = bench.run(ENDLESS, on_event=kill_the_worker)
    assert summary.outcomes == {"crashed": 1}
    record = bench.record()
    assert record.attempts[0].error == (
        "its process was killed by SIGKILL (the system may have run out of memory)"
    )
    assert record.history[0].epoch == 1
    assert record.metrics.test_accuracy is None


# Stopping


def test_a_signal_stops_the_run_in_order_and_the_next_one_goes_on(bench):
    before = signal.getsignal(signal.SIGTERM)
    sent = []

    def send_once(event: Event) -> None:
        if isinstance(event, EpochEnded) and not sent:
            sent.append(True)
            signal.raise_signal(signal.SIGTERM)

    text = FIVE.replace("seeds: 1", "seeds: 3")
    first = bench.run(text, on_event=send_once, retries=1, task=WAITING)
    assert first.signal_number == signal.SIGTERM
    assert first.outcomes == {"interrupted": 2, "missing": 1}
    assert signal.getsignal(signal.SIGTERM) is before
    assert not multiprocessing.active_children()
    for record in bench.records():
        assert record.attempts[-1].error == "stopped before its end"
    assert max(record.metrics.num_steps for record in bench.records()) >= 20

    done = bench.run(text, workers=2)
    assert done == RunSummary(Counter({"trained": 3}))
    assert bench.states() == ["continue", "continue", "missing"]
    assert [attempts(record) for record in bench.records()] == [["interrupted", "trained"]] * 2 + [["trained"]]


def test_a_stopped_run_counts_what_was_known_before(bench):
    text = GRID.replace("epochs: 1", "epochs: 100000")
    bench.run(text, on_event=kill_the_worker, selection={"only": "*32", "seeds": [0]})

    def stop_at_once(event: Event) -> None:
        if isinstance(event, CellStarted):
            signal.raise_signal(signal.SIGINT)

    summary = bench.run(text, on_event=stop_at_once, workers=1)
    assert summary.outcomes == {"interrupted": 1, "crashed": 1, "missing": 2}


# Going on


def checkpoints_of(bench: Bench) -> list[str]:
    return sorted(path.name for path in bench.folder.checkpoints_path.glob("*.ckpt"))


def stop(event: Event) -> None:
    """Ask the run to stop, as soon as an epoch has ended."""
    if isinstance(event, EpochEnded):
        signal.raise_signal(signal.SIGINT)


def test_a_stopped_cell_goes_on_where_it_was_and_leaves_no_checkpoint(stopped, bench):
    bench.run(FIVE)
    first = stopped.record()
    assert first.outcome == "interrupted"
    assert len(checkpoints_of(stopped)) >= 1
    assert 1 <= len(first.history) <= 2
    stopped.run(FIVE)
    assert stopped.states() == ["continue"]
    (resumed,) = stopped.told(CellResumed)
    assert (resumed.is_resumed, len(resumed.history), resumed.notes) == (True, len(first.history), [])
    record, expected = stopped.record(), bench.record()
    assert attempts(record) == ["interrupted", "trained"]
    assert record.attempts[0] == first.attempts[0]
    assert repeated(record.metrics) == repeated(expected.metrics)
    assert [repeated(row) for row in record.history] == [repeated(row) for row in expected.history]
    assert record.history[: len(first.history)] == first.history
    assert checkpoints_of(stopped) == []


def test_afresh_a_stopped_cell_starts_over(stopped):
    stopped.run(FIVE, fresh=True)
    assert stopped.told(CellResumed) == []
    assert attempts(stopped.record()) == ["trained"]
    assert checkpoints_of(stopped) == []


def test_an_attempt_that_left_a_checkpoint_and_no_record_is_recorded(stopped):
    """As when the run itself was killed."""
    before = stopped.record()
    stopped.folder.record_path(before.cell_id).unlink()
    assert stopped.run(FIVE, on_event=kill_the_worker, task=WAITING).outcomes == {"crashed": 1}
    record = stopped.record()
    assert attempts(record) == ["interrupted", "crashed"]
    assert record.attempts[0].error == "killed before its end"
    assert record.attempts[0].started_at == before.attempts[0].started_at
    assert stopped.run(FIVE).outcomes == {"trained": 1}
    assert attempts(stopped.record()) == ["interrupted", "crashed", "trained"]


def test_a_cell_that_crashed_goes_on_in_its_next_try_of_the_same_run(bench):
    killed = []

    def kill_once(event: Event) -> None:
        if isinstance(event, EpochEnded) and not killed:
            killed.append(event.row["epoch"])
            kill_the_worker(event)

    bench.run(FIVE, on_event=kill_once, retries=1, checkpoint_seconds=0.0, task=WAITING_ONCE)
    (resumed,) = bench.told(CellResumed)
    assert len(resumed.history) >= killed[0]
    assert attempts(bench.record()) == ["crashed", "trained"]
    assert [row.epoch for row in bench.record().history] == [1, 2, 3, 4, 5]


def test_a_damaged_checkpoint_is_told_and_costs_only_its_steps(stopped):
    for path in stopped.folder.checkpoints_path.glob("*.ckpt"):
        path.write_bytes(path.read_bytes()[:-1])
    stopped.run(FIVE)
    (resumed,) = stopped.told(CellResumed)
    assert not resumed.is_resumed
    assert all("is not whole: its state has another SHA-256; quarantined as " in note for note in resumed.notes)
    assert stopped.record().outcome == "trained"


def test_checkpoints_of_a_cell_that_is_done_are_cleared_away(stopped):
    (name, *_) = checkpoints_of(stopped)
    content = (stopped.folder.checkpoints_path / name).read_bytes()
    stopped.run(FIVE)
    (stopped.folder.checkpoints_path / name).write_bytes(content)
    assert stopped.run(FIVE) == RunSummary(Counter({"trained": 1}), num_skipped=1)
    assert checkpoints_of(stopped) == []


def test_what_a_killed_process_was_writing_is_cleared_away_and_no_other_file(done):
    leftovers = [
        done.folder.path / part / f".{name}.{'0123456789abcdef' * 2}.tmp"
        for part, name in [("", "grid.json"), ("cells", "x.json"), ("checkpoints", "x.9.ckpt"), ("weights", "x")]
    ]
    others = [done.folder.path / "cells" / name for name in ("notes.tmp", ".hidden.tmp", ".x.json.0123.tmp")]
    for path in (*leftovers, *others):
        path.parent.mkdir(exist_ok=True)
        path.write_text("half")
    done.run(ONE_CELL)
    assert not any(path.exists() for path in leftovers)
    assert all(path.exists() for path in others)


def test_weights_are_kept_where_they_are_wanted(bench):
    bench.run(GRID, keep_weights=True, selection={"seeds": [0]})
    kept = set((bench.folder.path / "weights").iterdir())
    assert kept == {path for record in bench.records() for path in bench.folder.kept_paths(record.cell_id)}
    assert checkpoints_of(bench) == []
    for record in bench.records():
        weights = torch.load(bench.folder.weights_path(record.cell_id), weights_only=True)
        assert sum(tensor.numel() for tensor in weights.values()) == record.metrics.num_params
    bench.run(GRID, fresh=True, selection={"seeds": [0], "only": "*16"})
    assert len(list((bench.folder.path / "weights").iterdir())) == 2, "those of another training are not kept"
    bench.run(GRID, keep_weights=True, selection={"seeds": [0]})
    (planned,) = bench.told(Planned)
    assert planned.notes[-1].startswith(
        "1 cell that is done has no weights, since they were not kept then; --fresh"
    )


def test_the_end_is_told_while_the_folder_is_held_and_not_after_a_signal(bench):
    seen = []

    def at_end() -> None:
        with pytest.raises(ResultsError, match="in use by process"), sole_writer(bench.folder.path):
            pass
        seen.append(len(list((bench.folder.path / "cells").iterdir())))

    options = RunOptions(device="cpu", data_dir=bench.tmp_path, measure=False)
    run_grid(bench.grid(FIVE), bench.folder, options, stop, at_end=at_end, task=WAITING)
    assert seen == []
    run_grid(bench.grid(FIVE), bench.folder, options, lambda event: None, at_end=at_end)
    assert seen == [1]


# Refusals


def test_a_folder_in_use_is_refused_with_its_user(bench):
    refusal = f"in use by process {os.getpid()}; wait until it ends, or choose another --results"
    with sole_writer(bench.folder.path), pytest.raises(ResultsError, match=refusal):
        bench.run()
    assert bench.run(ONE_CELL).outcomes == {"trained": 1}


def test_a_changed_grid_trains_what_is_new_and_keeps_the_rest(done):
    before = done.record()
    grown = ONE_CELL.replace("lr: 0.1", "lr: [0.1, 0.05]")
    assert done.run(grown) == RunSummary(Counter({"trained": 2}), num_skipped=1)
    assert done.records()[0] == before
    changed = ONE_CELL.replace("lr: 0.1", "lr: 0.05").replace("name: digits", "name: digits, resolution: 12")
    assert done.run(changed) == RunSummary(Counter({"trained": 1}))
    (planned,) = done.told(Planned)
    assert planned.notes == [
        "2 cells are no longer in the grid; kept, and left out of the analysis: mlp hidden=16 with "
        "data.resolution 8, recipe.lr 0.1 (1); mlp hidden=16 lr=0.05 (1)"
    ]
    results = load_results(done.folder.path)
    assert len(results.rows) == 1
    assert [cell.label for cell in results.former] == ["mlp hidden=16", "mlp hidden=16 lr=0.05"]
    assert results.left_out == [f"{planned.notes[0]}."]
    assert done.run(grown) == RunSummary(Counter({"trained": 2}), num_skipped=2)


def test_hypotheses_stay_locked_as_they_were_at_the_first_run(bench):
    claims = """
hypotheses:
  - id: wider-is-better
    says: Twice the units classify better.
    metric: test_accuracy
    compare: [{name: mlp, hidden: 32}, {name: mlp, hidden: 16}]
    expect: greater
    margin: 0.01
"""
    bench.run(GRID + claims, selection={"seeds": [0]})
    lock = bench.folder.read_grid().lock
    assert lock.seeds == (0, 1)
    assert [claim.margin for claim in lock.hypotheses] == [0.01]
    assert (lock.num_cells_known, lock.already_trained) == (0, ())
    bench.run(GRID + claims, selection={"seeds": [1]})
    assert bench.folder.read_grid().locks == (lock,)
    bench.run(GRID + claims.replace("0.01", "0.001"), selection={"seeds": [0]})
    now = bench.folder.read_grid()
    assert now.earlier_locks == (lock,)
    assert [claim.margin for claim in now.lock.hypotheses] == [0.001]
    assert (now.lock.num_cells_known, now.lock.already_trained) == (4, ("wider-is-better",))


@pytest.mark.parametrize("damaged", ["train", "test"])
def test_damaged_pictures_are_refused_before_anything_is_made_or_trained(bench, damaged):
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            place = bench.tmp_path / "pets" / split / name
            place.mkdir(parents=True)
            for number in range(3):
                Image.new("RGB", (9, 7)).save(place / f"{number}.png")
    text = ONE_CELL.replace("{name: digits}", "{name: image_folder, folder: pets, resolution: 8}")
    torn = bench.tmp_path / "pets" / damaged / "dog" / "1.png"
    whole = torn.read_bytes()
    torn.write_bytes(whole[:40])
    with pytest.raises(InputError, match=r"dog/1\.png: not a whole picture"):
        bench.run(text)
    assert not bench.folder.path.exists()
    torn.write_bytes(whole)
    assert bench.run(text).outcomes == {"trained": 1}


def test_a_folder_that_cannot_be_written_is_refused_before_anything_trains(bench):
    bench.folder.path.mkdir(parents=True)
    (bench.folder.path / "predictions").write_text("a file where a folder should be")
    started = []
    with pytest.raises(ResultsError, match=r"full/predictions: is no folder; move it away"):
        bench.run(GRID, on_event=started.append)
    assert not started


def test_a_disk_that_refuses_a_record_ends_the_run_and_leaves_no_process(bench):
    def spoil(event):
        if isinstance(event, CellStarted):
            shutil.rmtree(bench.folder.path / "predictions", ignore_errors=True)
            (bench.folder.path / "predictions").write_text("a file where a folder should be")

    with pytest.raises(ResultsError, match=r"predictions/.*\.npz: \d+ bytes could not be written"):
        bench.run(ONE_CELL, on_event=spoil)
    assert not multiprocessing.active_children()


# Estimates


def measured_here(bench: Bench) -> None:
    """Costs of the grid's one variant, as this machine would have measured them."""
    (variant,) = bench.grid(ONE_CELL).variants
    bench.folder.path.mkdir(parents=True)
    write_costs(bench.folder.path, variant.variant_id, cost_entry(machine=describe_machine("cpu")))


def test_a_records_attempt_has_its_estimate_and_its_time(bench):
    measured_here(bench)
    bench.run(ONE_CELL)
    # 2 s, one epoch of 1,238 images at 800 a second, and 200 and 1,238 + 359 predicted at 3,200
    seconds = 2 + 1238 / 800 + (200 + 1238 + 359) / 3200
    (told,) = bench.told(Estimated)
    assert told.estimates == {
        "": RunEstimate(2, 1, 1, pytest.approx(seconds), 500_000_000, longest_seconds=pytest.approx(seconds))
    }
    assert told.machine == describe_machine("cpu")
    (attempt,) = bench.record().attempts
    assert attempt.estimated_seconds == pytest.approx(seconds)
    assert 0 < attempt.seconds < 600


def test_what_was_never_measured_has_no_estimate(bench):
    bench.run(ONE_CELL)
    assert bench.told(Estimated) == []
    (attempt,) = bench.record().attempts
    assert attempt.estimated_seconds is None
    assert attempt.seconds > 0
