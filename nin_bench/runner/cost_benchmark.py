"""Measure variants in rounds that visit them in turn: a fresh process for each sample, nothing else beside it.

First each variant warms up, which measures its memory and how much work fills a sample. Then come the rounds
(A B C A B C …), so that a drift of the machine affects all variants alike, each with a sample of the device's own
ceilings. Last, every variant runs in all slots at once, as when a grid trains. Variants that cost the same
(because they differ in their learning rate or the like) are measured once.
"""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import Any

import torch

from nin_bench.cell import Cell
from nin_bench.cost.ceilings import Ceilings, measure_ceilings
from nin_bench.cost.measuring import Workbench
from nin_bench.cost.samples import Sample, Speed, WarmUp, cost_identity
from nin_bench.cost.summary import Counted, Measurements, count_variant, make_entry
from nin_bench.data import describe_data
from nin_bench.environment import without_folders
from nin_bench.errors import SpecError
from nin_bench.executors import Channel, Slot, Task
from nin_bench.grid import Grid
from nin_bench.metrics import METRICS
from nin_bench.models import ImageSpec
from nin_bench.results import ResultsFolder
from nin_bench.runner.cell_training import describe_failure
from nin_bench.runner.device_sharing import num_at_once
from nin_bench.runner.record import now
from nin_bench.runner.scheduler import Call, Kind, Scheduler, describe_end
from nin_bench.runner.worker import data_dir_at, prepare_process
from nin_bench.training.evaluation import StoppedError

NUM_ROUNDS = 8
"""With eight pairs of rounds the exact test can decide one of four claims that share 5 %; with seven it cannot."""
NUM_CLAIM_ROUNDS = 20
"""Rounds if a hypothesis rests on a measured metric."""
NUM_BUSY_ROUNDS = 2
_SLACK = 1.5
"""How much longer a worker may take to be ready among others than it took alone."""


def rounds_for(grid: Grid) -> int:
    """How many rounds a grid needs: more if one of its hypotheses rests on what they measure."""
    for hypothesis in grid.hypotheses:
        metric = METRICS[hypothesis.metric]
        if metric.kind == "measured" or (hypothesis.kinds and not metric.deterministic):
            return NUM_CLAIM_ROUNDS
    return NUM_ROUNDS


@dataclass(frozen=True)
class BenchmarkStarted:
    """Samples will be taken."""

    num_variants: int
    num_samples: int


@dataclass(frozen=True)
class SampleEnded:
    """A process has measured something."""

    label: str
    stage: str
    """`counting`, if that failed; `warm-up`, `batches`, `round 2 of 5`, `busy round 1 of 2`."""
    num_left: int
    """Samples still to be taken; where a variant failed, its own no longer count."""
    error: str | None = None
    """Why the variant is measured no further."""


Event = BenchmarkStarted | SampleEnded


@dataclass(frozen=True)
class Failure:
    """A process could not measure."""

    outcome: str
    error: str


@dataclass
class _Network:
    """Variants that cost the same, and what is known of them."""

    variants: list[Cell]
    image: ImageSpec
    counted: Counted
    num_left: int
    """Samples still to be taken of it."""
    measured: Measurements = field(default_factory=Measurements)

    @property
    def cell(self) -> Cell:
        return self.variants[0]


def workbench_task(
    channel: Channel,
    slot: Slot,
    cell: Cell,
    data_dir: Path | None,
    measure: Callable[[Workbench], Any],
) -> Any:
    """Set a variant up as a cell's worker does, and measure; an executor's task. A Failure if that fails."""
    prepare_process(slot)
    try:
        place = data_dir_at(slot, data_dir)
        return measure(Workbench(cell, place, slot.device, channel.should_stop, channel.asked_at))
    except StoppedError:
        return Failure("interrupted", "stopped before its end")
    except Exception as failure:
        return Failure(*describe_failure(failure))


def ceilings_task(channel: Channel, slot: Slot) -> Ceilings:
    """`measure_ceilings` as an executor's task."""
    prepare_process(slot)
    return measure_ceilings(torch.device(slot.device))


@dataclass
class CostBenchmark:
    """One measuring of some variants, each given as a cell with any seed, by whoever holds the folder."""

    cells: Sequence[Cell]
    folder: ResultsFolder
    kind: Kind
    num_rounds: int
    timeout_seconds: float | None
    data_dir: Path | None
    on_event: Callable[[Event], None]

    def __post_init__(self) -> None:
        self._scheduler = Scheduler(self.kind.executor)
        self._measured_at = now()
        self._ceilings: list[Ceilings] = []
        self._num_workers = len(self.kind.executor.slots)
        self._num_busy_rounds = NUM_BUSY_ROUNDS if self._num_workers > 1 else 0
        alike: dict[str, list[Cell]] = {}
        for cell in self.cells:
            alike.setdefault(cost_identity(cell), []).append(cell)
        self._networks: list[_Network] = []
        self._uncounted: dict[str, str] = {}
        """Labels of networks that cannot be passed through, and why."""
        for variants in alike.values():
            try:
                self._networks.append(self._network(variants))
            except SpecError as error:
                self._uncounted[variants[0].label] = without_folders(str(error))

    def _network(self, variants: list[Cell]) -> _Network:
        image = describe_data(variants[0].data, self.data_dir)
        counted = count_variant(variants[0], image, self.kind.executor.slots[0].device)
        return _Network(variants, image, counted, num_left=2 + self.num_rounds + self._num_busy_rounds)

    def measure(self) -> None:
        """Play all rounds and store what was measured after each; a wish to stop ends it early, without an error.

        Raises:
            ResultsError: the costs cannot be written.
        """
        num_variants = sum(len(network.variants) for network in self._networks)
        self.on_event(BenchmarkStarted(num_variants, self._num_left()))
        for label, error in self._uncounted.items():
            self.on_event(SampleEnded(label, "counting", self._num_left(), error))
        with suppress(StoppedError):
            for network in self._networks:
                self._warm_up(network)
            for network in self._fit():
                self._try_batches(network)
            self._store()
            for number in range(self.num_rounds):
                self._play_round(f"round {number + 1} of {self.num_rounds}")
                self._store()
            for number in range(self._num_busy_rounds):
                self._play_busy_round(f"busy round {number + 1} of {self._num_busy_rounds}")
                self._store()
            self._store(is_whole=True)

    def _warm_up(self, network: _Network) -> None:
        (result,) = self._run(network, [methodcaller("warm_up")])
        if isinstance(result, WarmUp):
            network.measured.warm_up = result
        self._note(network, "warm-up", [result])

    def _try_batches(self, network: _Network) -> None:
        # A batch that the recipe's micro-batches are there to avoid may not fit: no failure of the variant's.
        (peaks,) = self._run(network, [methodcaller("batch_peaks", network.counted.memory_bytes.batches)])
        network.measured.batch_peaks = None if isinstance(peaks, Failure) else peaks
        self._note(network, "batches", [])

    def _play_round(self, stage: str) -> None:
        """One sample of everything, kept only once all are taken: samples are compared round by round."""
        taken: list[tuple[_Network, Sample]] = []
        networks = self._fit()
        ceilings = self._play([Call("ceilings", self._ceilings_task)]) if networks else []
        for network in networks:
            assert network.measured.warm_up is not None
            (result,) = self._run(network, [methodcaller("sample", network.measured.warm_up.workload)])
            if isinstance(result, Sample):
                taken.append((network, result))
            self._note(network, stage, [result])
        self._ceilings += [one for one in ceilings if isinstance(one, Ceilings)]
        for network, sample in taken:
            network.measured.samples.append(sample)

    def _play_busy_round(self, stage: str) -> None:
        """Each variant in all slots at once, or in as many as it fits in, timed once all will be ready."""
        for network in self._fit():
            measured = network.measured
            assert measured.warm_up is not None
            ready_seconds = max(sample.ready_seconds for sample in measured.samples)
            measure = methodcaller("busy_speed", measured.warm_up.workload, _SLACK * ready_seconds)
            results = self._run(network, [measure] * self._num_at_once(measured.warm_up))
            if all(isinstance(result, Speed) for result in results):
                measured.busy += results
            self._note(network, stage, results)

    def _num_at_once(self, warm_up: WarmUp) -> int:
        slots = self.kind.executor.slots
        peaks = (warm_up.process_bytes, warm_up.train_peak_bytes, warm_up.predict_peak_bytes)
        process, train, predict = (peak or 0 for peak in peaks)
        held = process + max(train, predict) if None not in peaks else None
        return num_at_once(slots, self.kind.device_bytes, held)

    def _fit(self) -> list[_Network]:
        """Networks that nothing has gone wrong with."""
        return [network for network in self._networks if network.measured.error is None]

    def _num_left(self) -> int:
        return sum(network.num_left for network in self._fit())

    def _run(self, network: _Network, measures: Sequence[Callable[[Workbench], Any]]) -> list[Any]:
        """Measure something of a network, in as many processes at once; one alone has the machine to itself."""

        def task(key: str, measure: Callable[[Workbench], Any]) -> Task:
            arguments = (network.cell, self.data_dir, measure)
            return Task(key, workbench_task, arguments, self.timeout_seconds, exclusive=len(measures) == 1)

        named = {f"{network.cell.label} {number}": measure for number, measure in enumerate(measures)}
        return self._play([Call(key, partial(task, key, measure)) for key, measure in named.items()])

    def _ceilings_task(self) -> Task:
        return Task("ceilings", ceilings_task, timeout_seconds=self.timeout_seconds, exclusive=True)

    def _play(self, calls: Sequence[Call]) -> list[Any]:
        """Run tasks at once, each made when it is handed out, and wait for their results."""
        waiting = deque(calls)
        self._scheduler.run(lambda slot: waiting.popleft() if waiting else None)
        ends = [call.end for call in calls if call.end is not None]
        if self.kind.executor.stopping or len(ends) < len(calls):
            raise StoppedError
        return [
            end.result if end.how == "returned" else Failure(*describe_end(end, self.timeout_seconds))
            for end in ends
        ]

    def _note(self, network: _Network, stage: str, results: Sequence[Any]) -> None:
        """Tell that a sample ended; a network that failed is measured no further."""
        network.num_left -= 1
        for result in results:
            if isinstance(result, Failure):
                network.measured.error = without_folders(f"{result.outcome}: {result.error}")
        self.on_event(SampleEnded(network.cell.label, stage, self._num_left(), network.measured.error))

    def _store(self, *, is_whole: bool = False) -> None:
        """Store what was measured; what was known before may only be more while this measuring is not whole."""
        for network in self._networks:
            measured = network.measured
            if not measured.samples and measured.error is None:
                continue
            entry = make_entry(
                network.cell,
                network.image,
                network.counted,
                measured,
                self._ceilings,
                machine=self.kind.machine,
                measured_at=self._measured_at,
                num_workers=self._num_workers,
            )
            for cell in network.variants:
                self.folder.write_cost(
                    cell.variant_id, cell.label, entry, is_whole=is_whole and measured.error is None
                )
