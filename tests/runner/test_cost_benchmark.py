import json
import signal
from pathlib import Path
from typing import Any

import pytest

from nin_bench.catalog import RegistryCatalog
from nin_bench.grid import Grid
from nin_bench.results import ResultsFolder, load_results
from nin_bench.runner.cost_benchmark import NUM_BUSY_ROUNDS, BenchmarkStarted, SampleEnded, rounds_for
from nin_bench.runner.events import CellStarted, Event, Planned
from nin_bench.runner.run import MeasureSummary, measure_grid, run_grid
from nin_bench.runner.session import RunOptions

GRID = """
schema: 1
name: tiny
data: {name: digits}
recipe: {epochs: 1, batch_size: 64, lr: 0.1, momentum: 0.9}
models:
  - {name: mlp, hidden: [16, 32]}
"""


class Bench:
    """A folder for one grid's costs, and what its measuring told."""

    def __init__(self, tmp_path: Path) -> None:
        self.path = tmp_path / "grid.yaml"
        self.folder = ResultsFolder(tmp_path / "results" / "tiny" / "full")
        self.events: list[Event] = []
        self.on_event: Any = None

    def grid(self, text: str, **selection: Any) -> Grid:
        self.path.write_text(text)
        return Grid.load(self.path, RegistryCatalog(), **selection)

    def listen(self, event: Event) -> None:
        self.events.append(event)
        if self.on_event is not None:
            self.on_event(event)

    def measure(
        self, text: str = GRID, *, selection: dict[str, Any] | None = None, **options: Any
    ) -> MeasureSummary:
        self.events = []
        options = {"device": "cpu", "workers": 1, "num_rounds": 1, **options}
        return measure_grid(self.grid(text, **(selection or {})), self.folder, RunOptions(**options), self.listen)

    def told(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_variants_are_visited_in_turn_and_then_all_at_once(bench):
    summary = bench.measure(workers=2, num_rounds=3)
    assert (summary.num_skipped, summary.notes, summary.signal_number) == (0, [], None)
    labels = ["mlp hidden=16", "mlp hidden=32"]
    stages = [
        "warm-up",
        "batches",
        *(f"round {number} of 3" for number in (1, 2, 3)),
        *(f"busy round {number} of {NUM_BUSY_ROUNDS}" for number in range(1, NUM_BUSY_ROUNDS + 1)),
    ]
    assert [(event.stage, event.label) for event in bench.told(SampleEnded)] == [
        (stage, label) for stage in stages for label in labels
    ]
    (started,) = bench.told(BenchmarkStarted)
    assert (started.num_variants, started.num_samples) == (2, 2 * len(stages))
    assert [event.num_left for event in bench.told(SampleEnded)] == list(range(2 * len(stages) - 1, -1, -1))

    one, two = (cost.entry for cost in summary.costs)
    for entry in (one, two):
        assert entry.error is None
        assert len(entry.train.images_per_second.samples) == 3
        assert len(entry.train.busy_images_per_second.samples) == 2 * NUM_BUSY_ROUNDS
        assert len(entry.latency_seconds.samples) == len(entry.load) == 3
        assert 0 < entry.mfu.median < 1
        assert entry.setting.num_workers == 2
    assert (one.num_params.total, two.num_params.total) == (64 * 16 + 16 + 170, 64 * 32 + 32 + 330)
    assert one.measured_at == two.measured_at
    assert one.ceilings == two.ceilings

    results = load_results(bench.folder.path)
    assert list(results.costs["label"]) == labels
    assert list(results.costs["num_params"]) == [one.num_params.total, two.num_params.total]
    assert results.cost_entries == {cost.variant_id: cost.entry for cost in summary.costs}
    assert list(results.cells["outcome"]) == ["missing", "missing"]
    text = str(list(results.cost_entries.values()))
    assert str(bench.path.parent) not in text
    assert str(Path.home()) not in text


def test_what_is_measured_is_left_alone_unless_wanted_afresh(bench):
    first = bench.measure(selection={"only": "*16"})
    path = bench.folder.costs_path(first.costs[0].variant_id)
    stored = path.read_bytes()
    # One worker has nobody beside it.
    assert first.costs[0].entry.train.busy_images_per_second is None

    again = bench.measure(selection={"only": "*16"})
    assert (again.num_skipped, again.costs) == (1, first.costs)
    assert not bench.events
    assert path.read_bytes() == stored

    other = json.loads(stored)
    del other["digest"]  # which would tell that somebody changed it
    other["entries"][0]["machine"]["fingerprint"] = "another machine"
    path.write_text(json.dumps(other))
    here = bench.measure(selection={"only": "*16"})
    assert here.num_skipped == 0
    kept = json.loads(path.read_text())["entries"]
    assert [entry["machine"]["fingerprint"] for entry in kept] == [
        "another machine", here.costs[0].entry.machine.fingerprint,
    ]  # fmt: skip
    assert kept[0] == other["entries"][0]

    longer = bench.measure(selection={"only": "*16"}, num_rounds=2)
    assert (longer.num_skipped, longer.costs[0].entry.setting.num_rounds) == (0, 2)
    afresh = bench.measure(selection={"only": "*16"}, fresh=True, num_rounds=1)  # whole, though of fewer rounds
    assert (afresh.num_skipped, afresh.costs[0].entry.setting.num_rounds) == (0, 1)
    assert afresh.costs[0].entry.train != here.costs[0].entry.train


def test_what_one_worker_measured_is_measured_again_where_several_will_train(bench):
    bench.measure(selection={"only": "*16"})
    for workers, num_skipped in ((2, 0), (2, 1), (1, 1)):
        summary = bench.measure(selection={"only": "*16"}, workers=workers)
        assert summary.num_skipped == num_skipped
        assert len(summary.costs[0].entry.train.busy_images_per_second.samples) == 2 * NUM_BUSY_ROUNDS


def test_variants_that_cost_the_same_are_measured_once(bench):
    summary = bench.measure(GRID.replace("hidden: [16, 32]", "hidden: 16").replace("lr: 0.1", "lr: [0.1, 0.01]"))
    (started,) = bench.told(BenchmarkStarted)
    assert (started.num_variants, started.num_samples) == (2, 3)
    one, two = summary.costs
    assert one.variant_id != two.variant_id
    assert one.entry == two.entry
    batches = one.entry.memory_bytes.batches
    assert [(batch.batch_size, batch.micro_batch) for batch in batches] == [
        (16, None), (32, None), (64, None), (32, 16), (64, 16),
    ]  # fmt: skip


def test_a_torn_file_is_quarantined_and_its_variant_measured_again(bench):
    (cost,) = bench.measure(selection={"only": "*16"}).costs
    path = bench.folder.costs_path(cost.variant_id)
    path.write_bytes(path.read_bytes()[:100])
    summary = bench.measure(selection={"only": "*16"})
    (note,) = summary.notes
    assert note.startswith(f"costs/{path.name} is not whole JSON (")
    assert note.endswith(f"quarantined as {path.name}.corrupt, its variant is measured again")
    assert summary.costs[0].entry.setting.num_rounds == 1


def test_a_signal_ends_a_measuring_in_order_and_keeps_whole_rounds(bench):
    before = signal.getsignal(signal.SIGINT)

    def stop(event: Event) -> None:
        if isinstance(event, SampleEnded) and (event.stage, event.label) == ("round 2 of 4", "mlp hidden=16"):
            signal.raise_signal(signal.SIGINT)

    bench.on_event = stop
    summary = bench.measure(num_rounds=4)
    assert summary.signal_number == signal.SIGINT
    assert signal.getsignal(signal.SIGINT) is before
    assert [cost.entry.setting.num_rounds for cost in summary.costs] == [1, 1]
    assert bench.told(SampleEnded)[-1].num_left == 5  # a sample of the second variant, and two rounds of both

    bench.on_event = None
    assert bench.measure(num_rounds=1).num_skipped == 2
    whole = bench.measure(selection={"only": "*16"}, num_rounds=2)
    assert (whole.num_skipped, whole.costs[0].entry.setting.num_rounds) == (0, 2)


def test_a_network_that_cannot_be_measured_is_told_and_holds_up_no_other(bench):
    text = GRID.replace("digits}", "digits, resolution: 400}").replace("[16, 32]", "[16, 999999]")
    summary = bench.measure(text)  # the second has more than half a terabyte of weights
    well, badly = (cost.entry for cost in summary.costs)
    assert well.num_rounds == 1
    assert badly.error.startswith("out_of_memory: ")
    assert (badly.train, badly.num_rounds) == (None, 0)
    assert badly.num_params.total == (400 * 400 + 1 + 10) * 999_999 + 10
    (event,) = (event for event in bench.told(SampleEnded) if event.error is not None)
    assert (event.stage, event.label, event.num_left) == ("warm-up", "mlp hidden=999999", 2)
    assert bench.measure(text).num_skipped == 1  # a failure is not taken for known


def test_a_sample_past_its_time_is_a_failure(bench):
    # A network of some substance: time limits are looked at four times a second.
    text = GRID.replace("digits}", "digits, resolution: 28}").replace("mlp, hidden: [16, 32]", "nin_mnist")
    (cost,) = bench.measure(text, timeout_seconds=0.001).costs
    assert cost.entry.error == "timed_out: took longer than the limit of 0.001 s"


def test_a_run_measures_what_it_is_about_to_train_and_nothing_else(bench):
    options = RunOptions(device="cpu", workers=1, num_rounds=1)
    run_grid(bench.grid(GRID, only="*16"), bench.folder, options, bench.listen)
    kinds = [type(event) for event in bench.events]
    assert (
        kinds.index(Planned) < kinds.index(BenchmarkStarted) < kinds.index(SampleEnded) < kinds.index(CellStarted)
    )
    (measured,) = load_results(bench.folder.path).cost_entries.values()
    assert measured.num_rounds == 1

    bench.events = []
    run_grid(bench.grid(GRID, only="*16"), bench.folder, options, bench.listen)
    assert [type(event) for event in bench.events] == [Planned]

    bench.events = []
    without = RunOptions(device="cpu", workers=1, measure=False)
    run_grid(bench.grid(GRID, only="*32"), bench.folder, without, bench.listen)
    assert not bench.told(BenchmarkStarted)
    assert len(load_results(bench.folder.path).cost_entries) == 1


CLAIM = """
hypotheses:
  - {{id: h, says: "Sixteen units are enough.", metric: {metric}, compare: [{{hidden: 16}}, {{hidden: 32}}],
     expect: greater, factor: 1.1}}
"""
KINDS = """
hypotheses:
  - {{id: h, says: "Dense layers have most of it.", metric: {metric}, of: {{hidden: 16}}, kinds: [dense, other],
     expect: greater, margin: 0.1}}
"""


@pytest.mark.parametrize(
    ("text", "num_rounds"),
    [
        (GRID, 8),
        (GRID + CLAIM.format(metric="train_images_per_second"), 20),
        (GRID + CLAIM.format(metric="num_params"), 8),
        (GRID + KINDS.format(metric="train_seconds"), 20),
        (GRID + KINDS.format(metric="num_macs"), 8),
    ],
)
def test_a_claim_on_a_measured_metric_calls_for_more_rounds(bench, text: str, num_rounds: int):
    assert rounds_for(bench.grid(text)) == num_rounds
