"""Runs whose seeds are trained until their claims are decided; the cells are no networks."""

import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nin_bench import cli
from nin_bench.analysis.names import Names
from nin_bench.analysis.pairs import MissingCell
from nin_bench.analysis.verdicts import judge
from nin_bench.catalog import RegistryCatalog, load_plan
from nin_bench.errors import ResultsError
from nin_bench.grid import Grid
from nin_bench.planning import PlannedCell
from nin_bench.reporting.verdict_text import VerdictText
from nin_bench.results import ResultsFolder, load_results
from nin_bench.runner.cell_queue import CellTask
from nin_bench.runner.events import CellEnded, CellStarted, Event, LookTaken, Planned
from nin_bench.runner.run import RunSummary, run_grid
from nin_bench.runner.session import PRELOAD, RunOptions
from tests import looks_cells
from tests.looks_cells import GRID, LOOKS, NUM_TRAINED


class Bench:
    """A folder for the grid's results, and what its last run reported."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = ResultsFolder(path / "results")
        self.events: list[Event] = []

    def grid(self, **selection: Any) -> Grid:
        path = self.path / "grid.yaml"
        path.write_text(GRID)
        return Grid.load(path, RegistryCatalog(self.path), **selection)

    def run(
        self,
        function: Callable[..., Any] = looks_cells.train,
        *,
        selection: Any = None,
        on_event: Callable[[Event], None] = lambda event: None,
        **options: Any,
    ) -> RunSummary:
        self.events = []

        def told(event: Event) -> None:
            self.events.append(event)
            on_event(event)

        options = {"device": "cpu", "workers": 2, "data_dir": self.path, "measure": False, **options}
        # One forkserver serves a whole test run, and its first user decides what it has imported.
        task = CellTask(function, PRELOAD)
        grid = self.grid(**(selection or {}))
        return run_grid(grid, self.folder, RunOptions(**options), told, task=task)

    def looks(self) -> list[tuple[str, int, str]]:
        return [(look.hypothesis, look.n, look.verdict) for look in self.folder.read_grid().looks]

    def trained(self) -> dict[int, int]:
        records = load_results(self.folder.path).records
        return Counter(record.cell.model.arguments["hidden"] for record in records if record.outcome == "trained")

    def plan(self) -> list[PlannedCell]:
        return load_plan(self.grid(), self.folder, self.path)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_variants_are_trained_until_no_open_primary_claim_needs_them(bench):
    summary = bench.run()
    assert sorted(bench.looks()) == sorted(LOOKS)
    assert bench.trained() == NUM_TRAINED
    assert summary == RunSummary(Counter({"trained": sum(NUM_TRAINED.values())}))

    # At its look a claim had the pairs of the first seeds and no others, whatever was trained since.
    looks = {(look.hypothesis, look.n): look for look in bench.folder.read_grid().looks}
    assert looks["wider", 12].seeds == tuple(range(12))
    assert [look.decided for look in bench.folder.read_grid().looks].count(True) == 1
    verdicts = {verdict.id: verdict for verdict in judge(load_results(bench.folder.path))}
    assert {name: (one.verdict, one.n, one.look.number) for name, one in verdicts.items()} == {
        "wider": ("supported", 12, 2), "widest": ("undecided", 16, 3), "aside": ("undecided", 8, 1),
    }  # fmt: skip
    names = Names.of(bench.folder.read_grid().variants)
    assert "Judged at look 2 of 3, with the first 12 seeds." in list(
        VerdictText(verdicts["wider"], names).remarks()
    )
    assert verdicts["wider"].level == pytest.approx(0.05 / 2 * 0.05)
    assert verdicts["aside"].level == pytest.approx(0.05 * 0.10)

    before = bench.folder.read_grid().looks
    again = bench.run()
    assert again == RunSummary(Counter({"trained": 52}), num_skipped=52)
    assert bench.folder.read_grid().looks == before
    assert [type(event) for event in bench.events] == [Planned]


def test_a_look_comes_when_its_last_cell_has_ended_and_before_any_later_seed(bench):
    bench.run(workers=1)
    ended: Counter[object] = Counter()
    for event in bench.events:
        if isinstance(event, CellEnded):
            ended[event.cell.model.arguments["hidden"]] += 1
        if isinstance(event, LookTaken) and event.look.hypothesis == "wider":
            assert (ended[8], ended[16]) == (event.look.n, event.look.n)
    taken = [event for event in bench.events if isinstance(event, LookTaken)]
    assert [(one.look.hypothesis, one.look.n, one.look.verdict) for one in taken] == LOOKS


def test_fewer_seeds_than_claims_were_looked_at_with_are_refused(bench):
    bench.run()
    path = bench.path / "fewer.yaml"
    path.write_text(GRID.replace("at_most: 16", "at_most: 12"))
    fewer = Grid.load(path, RegistryCatalog(bench.path))
    with pytest.raises(
        ResultsError, match="at_most 12, but the claim 'widest' was looked at with 16 seeds; use 16"
    ):
        load_plan(fewer, bench.folder, bench.path)
    assert len(load_plan(fewer, bench.folder, bench.path, fresh=True)) == 48
    path.write_text(GRID.replace("at_most: 16", "at_most: 20"))
    load_plan(Grid.load(path, RegistryCatalog(bench.path)), bench.folder, bench.path)


def test_a_decision_stands_whatever_the_records_say_later(bench):
    bench.run()
    decided = bench.folder.read_grid().looks
    before = judge(load_results(bench.folder.path))[0]
    for record in load_results(bench.folder.path).records:
        if record.cell.model.arguments["hidden"] == 16:
            metrics = record.metrics.model_copy(update={"test_accuracy": 0.1})
            bench.folder.write_record(record.model_copy(update={"metrics": metrics}))
    assert bench.run() == RunSummary(Counter({"trained": 52}), num_skipped=52)
    assert bench.folder.read_grid().looks == decided
    after = judge(load_results(bench.folder.path))[0]
    assert (after.verdict, after.effect, after.interval) == ("supported", before.effect, before.interval)


def test_a_cell_that_crashes_is_tried_again_before_the_look_and_its_pair_is_left_out(bench):
    summary = bench.run(looks_cells.train_or_die, retries=1)
    assert summary.outcomes["crashed"] == 1
    first = next(look for look in bench.folder.read_grid().looks if look.hypothesis == "wider")
    assert (first.n, first.seeds) == (8, (0, 1, 2, 4, 5, 6, 7))
    attempts = [event for event in bench.events if isinstance(event, CellEnded) and event.cell.seed == 3]
    assert [event.will_retry for event in attempts if event.record.outcome == "crashed"] == [True, False]
    verdict = judge(load_results(bench.folder.path))[0]
    assert verdict.missing == [MissingCell("mlp hidden=16", 3, "crashed")]


def test_a_narrowed_run_takes_no_look_that_lacks_cells(bench):
    bench.run(selection={"only": "*hidden=8"})
    assert bench.looks() == []
    assert bench.trained() == {8: 8}
    bench.run()
    assert sorted(bench.looks()) == sorted(LOOKS)
    assert bench.trained() == NUM_TRAINED


def test_a_look_rests_on_no_outdated_record_of_a_cell_that_is_not_selected(bench):
    bench.run(selection={"only": "*hidden=8"})
    for record in load_results(bench.folder.path).records:
        bench.folder.write_record(record.model_copy(update={"code_digest": "a" * 16}))
    bench.run(selection={"only": "*hidden=16"})
    assert bench.looks() == []
    bench.run(selection={"only": "*hidden=16"}, accept_code_changes=True)
    assert bench.looks() == LOOKS[:1]


def test_only_a_fresh_run_of_all_cells_looks_at_the_claims_anew(bench):
    def num_taken() -> int:
        return sum(isinstance(event, LookTaken) for event in bench.events)

    bench.run()
    before = bench.folder.read_grid().looks
    bench.run(selection={"only": "*hidden=64"}, fresh=True)
    assert (num_taken(), bench.folder.read_grid().looks) == (0, before)

    planned = load_plan(bench.grid(), bench.folder, bench.path, fresh=True)
    assert Counter(one.need for one in planned) == {"now": 32, "if undecided": 24, "no": 8}
    bench.run(fresh=True)
    assert num_taken() == len(LOOKS)
    assert sorted(bench.looks()) == sorted(LOOKS)


def test_a_look_waits_for_a_cell_that_crashes_while_the_run_stops(bench):
    def stop(event: Event) -> None:
        if isinstance(event, CellStarted) and event.cell.model.arguments["hidden"] == 16:
            signal.raise_signal(signal.SIGINT)

    bench.run(selection={"seeds": [0, 1, 2, 4, 5, 6, 7]})
    summary = bench.run(looks_cells.train_or_die, selection={"seeds": [3]}, workers=1, on_event=stop)
    assert (summary.signal_number, summary.outcomes["crashed"]) == (signal.SIGINT, 1)
    assert bench.looks() == []
    bench.run()
    assert sorted(bench.looks()) == sorted(LOOKS)


def test_a_plan_says_what_is_needed_now_later_or_not_at_all(bench):
    def needs() -> dict[int, Counter[str]]:
        found: dict[int, Counter[str]] = {}
        for one in bench.plan():
            need = "done" if one.state == "done" else one.need
            found.setdefault(one.cell.model.arguments["hidden"], Counter())[need] += 1
        return found

    open_ = {"now": 8, "if undecided": 8}
    assert needs() == {8: open_, 16: open_, 32: open_, 64: {"now": 8, "no": 8}}
    bench.run()
    assert needs() == {
        8: {"done": 12, "no": 4}, 16: {"done": 16}, 32: {"done": 16}, 64: {"done": 8, "no": 8},
    }  # fmt: skip


def test_a_plan_says_what_is_expected_and_what_is_the_most(bench, monkeypatch, capsys):
    bench.grid()
    monkeypatch.chdir(bench.path)
    with pytest.raises(SystemExit) as ended:
        cli.main(["plan", "--grid", "grid.yaml", "--device", "cpu"])
    assert ended.value.code in (0, None)
    lines = capsys.readouterr().out.splitlines()
    # As assumed, claims are true by twice their margins, and need nearly all of the seeds.
    assert "64 cells: 32 to run, 56 as expected, 56 at most, 0 done" in lines
    assert "mlp hidden=8   seeds 8–15  missing, if a claim is undecided" in lines
    assert "mlp hidden=64  seeds 8–15  missing, not needed" in lines
