"""Two grids that grow and share cells, through thousands of random steps: run, stopped, damaged, repaired."""

import shutil
import signal
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from nin_bench.analysis.analysis import analyse
from nin_bench.analysis.lock import Lock
from nin_bench.catalog import RegistryCatalog
from nin_bench.doctor import examine
from nin_bench.errors import ResultsError
from nin_bench.executors import Channel, Slot
from nin_bench.grid import Grid
from nin_bench.reporting.build import build_report
from nin_bench.results import ResultsFolder, load_results
from nin_bench.results.folder_lock import lock_holder, sole_writer
from nin_bench.results.predictions import pack_predictions
from nin_bench.runner import session
from nin_bench.runner.cell_queue import CellTask
from nin_bench.runner.events import CellEnded, Event
from nin_bench.runner.messages import Assignment, CellResult
from nin_bench.runner.record import make_record
from nin_bench.runner.run import RunSummary, run_grid
from nin_bench.runner.session import RunOptions
from tests.faults.inline_executor import InlineExecutor
from tests.faults.scale import FAULTS, WHOLE, Count, scaled
from tests.faults.stubs import result_of

NAMES = st.sampled_from(["first", "second"])
GRID = """
schema: 1
name: {name}
data: {{name: digits}}
recipe: {{epochs: {epochs}, batch_size: 64}}
seeds: {seeds}
models:
  - {{name: mlp, hidden: {hidden}}}
hypotheses:
  - id: wider
    claim: Sixteen units classify better than eight.
    primary: true
    metric: test_accuracy
    compare: [{{name: mlp, hidden: 16}}, {{name: mlp, hidden: 8}}]
    expect: greater
    margin: {margin}
"""


@dataclass(frozen=True)
class Locked:
    """What a lock fixes of this claim, and whether all of its networks were known by then."""

    seeds: int
    margin: float
    epochs: int
    came_late: bool


@dataclass
class Model:
    """A grid as its file says, and what must be in its results folder."""

    name: str
    folder: ResultsFolder
    epochs: int = 1
    seeds: int = 2
    margin: float = 0.01
    more_hidden: tuple[int, ...] = ()
    records: dict[str, bytes] = field(default_factory=dict)
    """Of every cell that was trained here or taken over, as its file was then."""
    crashed: set[str] = field(default_factory=set)
    damaged: set[str] = field(default_factory=set)
    """Cells whose records are damaged."""
    without_predictions: dict[str, bool] = field(default_factory=dict)
    """Cells whose predictions are damaged, or were put aside: whether a file is there."""
    locks: list[Locked] = field(default_factory=list)

    def load(self) -> Grid:
        path = self.folder.path.parents[2] / f"{self.name}.yaml"
        hidden = [8, 16, *self.more_hidden]
        path.write_text(
            GRID.format(name=self.name, epochs=self.epochs, seeds=self.seeds, hidden=hidden, margin=self.margin)
        )
        return Grid.load(path, RegistryCatalog(path.parent))

    def is_done(self, cell_id: str) -> bool:
        return cell_id in self.records and cell_id not in self.damaged | self.crashed

    def has_all(self, cell_id: str) -> bool:
        return self.is_done(cell_id) and cell_id not in self.without_predictions

    def has_run(self) -> bool:
        return bool(self.locks)

    def is_post_hoc(self) -> bool:
        return self.locks[0].came_late or len({(lock.margin, lock.epochs) for lock in self.locks}) > 1


def make_machine(root: Path, counts: dict[str, int]) -> type[RuleBasedStateMachine]:
    class Machine(RuleBasedStateMachine):
        @initialize()
        def begin(self) -> None:
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir()
            self.grids = {
                name: Model(name, ResultsFolder(root / "results" / name / "full")) for name in ("first", "second")
            }
            self.run("first", reuse=False, stop_after=0, crashes=False)

        def count(self, kind: str, number: int = 1) -> None:
            counts[kind] = counts.get(kind, 0) + number

        def other(self, model: Model) -> Model:
            return self.grids["second" if model.name == "first" else "first"]

        @rule(
            name=NAMES,
            epochs=st.sampled_from([1, 1, 1, 2]),
            seeds=st.integers(1, 3),
            margin=st.sampled_from([0.01, 0.01, 0.02]),
            more=st.sampled_from([(), (32,), (64,), (32, 64)]),
        )
        def change(self, name: str, epochs: int, seeds: int, margin: float, more: tuple[int, ...]) -> None:
            self.count("changed")
            model = self.grids[name]
            model.epochs, model.seeds, model.margin, model.more_hidden = epochs, seeds, margin, more

        @rule(name=NAMES, reuse=st.booleans(), stop_after=st.sampled_from([0, 0, 1, 2]), crashes=st.booleans())
        def run(self, name: str, reuse: bool, stop_after: int, crashes: bool) -> None:
            """A run trains what is neither here nor, if it may reuse, there; nothing else changes."""
            model, grid = self.grids[name], self.grids[name].load()
            here, there = model, self.other(self.grids[name])
            done = [cell.cell_id for cell in grid.cells if here.is_done(cell.cell_id)]
            left = [cell.cell_id for cell in grid.cells if cell.cell_id not in done]
            wanted = [cell_id for cell_id in left if reuse and there.is_done(cell_id)]
            wanted = [cell_id for cell_id in wanted if there.without_predictions.get(cell_id, True)]
            taken = [cell_id for cell_id in wanted if there.has_all(cell_id)]
            todo = [cell_id for cell_id in left if cell_id not in taken]
            crashing = todo[-1:] if crashes else []
            self.lock(grid)
            ended, summary = run(grid, here.folder, crashing, stop_after, reuse=reuse)
            stopped = 0 < stop_after <= len(todo)
            assert len(ended) == (stop_after if stopped else len(todo)), (ended, todo)
            assert set(ended) <= set(todo), (ended, todo)
            assert (summary.num_skipped, summary.num_reused) == (len(done), len(taken))
            assert summary.signal_number == (signal.SIGINT if stopped else None)
            for cell_id in [*taken, *ended]:
                here.records[cell_id] = here.folder.record_path(cell_id).read_bytes()
                (here.crashed.add if cell_id in crashing else here.crashed.discard)(cell_id)
                here.damaged.discard(cell_id)
                here.without_predictions.pop(cell_id, None)
            for cell_id in set(left) - set(taken) - set(ended):
                if cell_id in here.damaged:  # put aside by the run that was then stopped
                    here.damaged.discard(cell_id)
                    here.records.pop(cell_id)
            for cell_id in taken:
                ours, theirs = here.folder.read_record(cell_id), there.folder.read_record(cell_id)
                assert ours is not None
                assert theirs is not None
                assert ours.reused_from == (theirs.reused_from or f"{there.name}/full")
                assert ours.metrics == theirs.metrics
            self.count("run")
            self.count("stopped", stopped)
            self.count("taken over", len(taken))
            self.count("trained", len(ended))

        def lock(self, grid: Grid) -> None:
            model = self.grids[grid.name]
            now = (model.seeds, model.margin, model.epochs)
            if not model.locks or now != (lock := model.locks[-1], (lock.seeds, lock.margin, lock.epochs))[1]:
                compared = [cell for cell in grid.cells if cell.model.arguments["hidden"] in (8, 16)]
                known = [any(one.is_done(cell.cell_id) for one in self.grids.values()) for cell in compared]
                model.locks.append(Locked(*now, came_late=all(known)))

        @rule(name=NAMES, which=st.integers(0, 15), what=st.sampled_from(["record", "predictions"]))
        def damage(self, name: str, which: int, what: str) -> None:
            model = self.grids[name]
            whole = sorted(cell_id for cell_id in model.records if model.has_all(cell_id))
            if not whole:
                return
            cell_id = whole[which % len(whole)]
            path = (model.folder.record_path if what == "record" else model.folder.predictions_path)(cell_id)
            path.write_bytes(path.read_bytes()[: -2 - which])  # a record's last byte ends its last line
            if what == "record":
                model.damaged.add(cell_id)
            else:
                model.without_predictions[cell_id] = True
            self.count("damaged")

        @rule(name=NAMES, dry_run=st.booleans())
        def doctor(self, name: str, dry_run: bool) -> None:
            model = self.grids[name]
            if not model.has_run():
                return
            found = [one.file for one in examine(model.folder.path, dry_run=dry_run) if one.state != "noted"]
            damaged = {f"cells/{cell_id}.json" for cell_id in model.damaged}
            bad = {cell_id for cell_id, there in model.without_predictions.items() if there} | model.damaged
            assert set(found) == damaged | {f"predictions/{cell_id}.npz" for cell_id in bad}
            self.count("examined")
            if dry_run:
                return
            model.without_predictions |= dict.fromkeys(bad - model.damaged, False)
            for cell_id in model.damaged:
                del model.records[cell_id]
            model.damaged = set()
            assert [one for one in examine(model.folder.path) if one.state != "noted"] == []

        @rule(name=NAMES)
        def run_while_it_is_held(self, name: str) -> None:
            model = self.grids[name]
            if not model.has_run():
                return
            with sole_writer(model.folder.path):
                holder = lock_holder(model.folder.path)
                assert holder is not None
                with pytest.raises(ResultsError, match=f"in use by {holder}"):
                    run(model.load(), model.folder, [], 0, reuse=True)
            self.count("refused since it was held")

        @rule(name=NAMES)
        def read_lock(self, name: str) -> None:
            model = self.grids[name]
            if not model.has_run():
                return
            results = load_results(model.folder.path)
            (hypothesis,) = results.grid.hypotheses
            assert Lock.read(results.grid).holds(hypothesis) != model.is_post_hoc()
            self.count("lock read")

        @invariant()
        def what_is_known_is_there_as_it_was(self) -> None:
            counts["steps"] = counts.get("steps", 0) + 1
            for model in getattr(self, "grids", {}).values():
                assert lock_holder(model.folder.path) is None
                there = {path.stem: path for path in model.folder.path.glob("cells/*.json")}
                assert there.keys() == model.records.keys()
                for cell_id, content in model.records.items():
                    assert cell_id in model.damaged or there[cell_id].read_bytes() == content
                    if cell_id in model.crashed:
                        continue
                    assert model.folder.predictions_path(cell_id).exists() == model.without_predictions.get(
                        cell_id, True
                    )
                if model.has_run():
                    results = load_results(model.folder.path)
                    states = dict(zip(results.cells["cell_id"], results.cells["outcome"], strict=True))
                    for cell_id, state in states.items():
                        is_there = cell_id in model.records and cell_id not in model.damaged
                        known = "crashed" if cell_id in model.crashed else "trained"
                        assert state == (known if is_there else "missing")

        def teardown(self) -> None:
            """At the end the grids are run whole, and a doctor finds nothing; its report builds."""
            for name in getattr(self, "grids", {}):
                model = self.grids[name]
                self.doctor(name, dry_run=False)
                self.run(name, reuse=True, stop_after=0, crashes=False)
                self.what_is_known_is_there_as_it_was()
                assert [one for one in examine(model.folder.path) if one.state != "noted"] == []
                (verdict,) = analyse(load_results(model.folder.path)).hypotheses
                assert verdict.post_hoc == model.is_post_hoc()
                if WHOLE:
                    assert build_report(model.folder.path, root / "report").is_file()
                    self.count("reports built")

    return Machine


def run(
    grid: Grid, folder: ResultsFolder, crashing: list[str], stop_after: int, *, reuse: bool
) -> tuple[list[str], RunSummary]:
    """Run a grid; the ids of the cells that ended, of which some crash. Ctrl-C comes after so many."""
    ended: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, CellEnded):
            ended.append(event.cell.cell_id)
            if len(ended) == stop_after:
                signal.raise_signal(signal.SIGINT)

    def train(channel: Channel, slot: Slot, assignment: Assignment) -> CellResult:
        record, predictions = result_of(assignment.cell)
        if record.cell_id in crashing:
            return CellResult(make_record(assignment.cell, "crashed", started_at="", error="once"), None)
        environment = {**record.environment, **assignment.environment}
        packed = pack_predictions(predictions, record.cell_id)
        return CellResult(record.model_copy(update={"environment": environment}), packed)

    options = RunOptions(
        device="cpu", workers=1, data_dir=folder.path.parents[2], measure=False, reuse=reuse,
        other_roots=(folder.path.parents[1],),
    )  # fmt: skip
    return ended, run_grid(grid, folder, options, listen, task=CellTask(train, ()))


def test_growing_grids_lose_nothing_and_say_what_is(tmp_path, monkeypatch, faults: Count, inputs: Count):
    monkeypatch.setattr(session, "LocalExecutor", InlineExecutor)
    counts: dict[str, int] = {}
    wanted = scaled(20, 2000)
    while counts.get("steps", 0) < wanted:
        run_state_machine_as_test(
            make_machine(tmp_path / "root", counts),
            settings=settings(
                max_examples=scaled(2, 40),
                stateful_step_count=scaled(15, 50),
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
    if WHOLE:
        assert {"stopped", "taken over", "damaged", "examined", "lock read", "refused since it was held"} <= set(
            counts
        )
    inputs("growing grids, random steps", counts.pop("steps"))
    for kind in sorted(FAULTS & counts.keys()):
        faults(f"growing grids, random steps: {kind}", counts[kind])
