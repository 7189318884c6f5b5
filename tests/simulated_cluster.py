"""A cluster whose nodes and time are simulated; its driver is real: plan, scheduler, Ray executor, results folder.

What stands in for the module `ray` has nodes of eight workers. Their cells take simulated seconds, and so does the
processor time that the driver needs; what the simulation itself needs takes none. So a driver that cannot follow
its workers falls behind here, too. Not simulated: what Ray itself does for a call, and a disk that lets it wait.
"""

import heapq
import importlib
import itertools
import os
import pickle
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from queue import Empty
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nin_bench import executors
from nin_bench.catalog import RegistryCatalog
from nin_bench.cell import Cell
from nin_bench.executors import Ended, Message, Slot, Task
from nin_bench.grid import Grid
from nin_bench.live.state import RunState
from nin_bench.progress.displays import progress_on
from nin_bench.results import Record, ResultsFolder
from nin_bench.runner import session
from nin_bench.runner.events import CellEnded, CellStarted, Event
from nin_bench.runner.messages import CellReady, CellResult, EpochDone
from nin_bench.runner.nodes import describe_node
from nin_bench.runner.run import run_grid
from nin_bench.runner.session import RunOptions

SLOTS = 8
"""Of a node, where there are so many workers."""
CELL_SECONDS = 30.0
NUM_EPOCHS = 10
EXECUTOR = "nin_bench.executors.ray"
SHIPPED = Path(__file__).parent.parent / "results/reference/onexone/cpu"
GRID = f"""
schema: 1
name: many
data: {{name: digits}}
recipe: {{epochs: {NUM_EPOCHS}, lr: [RATES]}}
seeds: SEEDS
models: [{{name: mlp}}]
"""


@dataclass(frozen=True)
class StubCells:
    """What simulated cells come to: the record and the predictions of a real one, of 10,000 images."""

    record: Record
    predictions: bytes

    @classmethod
    def shipped(cls) -> "StubCells":
        records = (Record.read(path) for path in sorted((SHIPPED / "cells").glob("*.json")))
        record = next(one for one in records if one.outcome == "trained" and len(one.history) >= NUM_EPOCHS)
        predictions = next((SHIPPED / "predictions").glob("*.npz")).read_bytes()
        return cls(record.model_copy(update={"history": record.history[:NUM_EPOCHS]}), predictions)

    def result(self, cell: Cell) -> CellResult:
        own = {"cell_id": cell.cell_id, "variant_id": cell.variant_id, "label": cell.label, "cell": cell}
        return CellResult(self.record.model_copy(update=own), self.predictions)


class Clock:
    """Simulated time, and the processor time that the driver has had."""

    def __init__(self) -> None:
        self.now = self.driver_seconds = 0.0
        self._since = time.process_time()

    @contextmanager
    def outside(self) -> Iterator[None]:
        """What is done meanwhile is no work of the driver's."""
        took = time.process_time() - self._since
        self.driver_seconds += took
        self.now += took
        yield
        self._since = time.process_time()


def outside(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def called(self: Any, *arguments: Any, **named: Any) -> Any:
        with self.clock.outside():
            return method(self, *arguments, **named)

    return called


@dataclass(eq=False)
class Result:
    """What a call on a node returns, there at some time; its own future, as Ray makes one."""

    ends_at: float
    value: Callable[[], Any]
    turns: "Turns"

    def future(self) -> "Result":
        return self

    def add_done_callback(self, call: Callable[["Result"], None]) -> None:
        self.turns.add(self.ends_at, lambda: call(self))

    def result(self) -> Any:
        with self.turns.clock.outside():
            self.turns.num_ended += 1
            return self.value()


class Turns:
    """The turns of all nodes, and what stands in for the queue in which the executor finds those that are over."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.num_ended = 0
        self._numbers = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._over: deque[Any] = deque()

    @outside
    def add(self, ends_at: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._due, (ends_at, next(self._numbers), call))

    def put(self, turn: Any) -> None:
        self._over.append(turn)

    def get_nowait(self) -> Any:
        return self.get(0.0)

    @outside
    def get(self, timeout: float) -> Any:
        until = self._due[0][0] if self._due else self.clock.now + timeout
        if not self._over:
            self.clock.now = max(self.clock.now, min(until, self.clock.now + timeout))
        while self._due and self._due[0][0] <= self.clock.now:
            heapq.heappop(self._due)[2]()
        if not self._over:
            raise Empty
        return self._over.popleft()


class Node:
    """A node's actor, as the executor knows it."""

    def __init__(self, turns: Turns, stub: StubCells, random: np.random.Generator) -> None:
        self.clock, self.turns = turns.clock, turns
        self.stub = stub
        self.random = random
        self.due: list[tuple[float, int, bool, Callable[[], Any]]] = []
        """What will happen: when, a number that tells two of one moment apart, whether a turn ends, the event."""
        self.numbers = itertools.count()
        self.num_trained = 0
        self.open = SimpleNamespace(remote=self._open)
        self.turn = SimpleNamespace(options=lambda max_task_retries: SimpleNamespace(remote=self._turn))
        self.kill = SimpleNamespace(remote=lambda: Result(0.0, lambda: None, turns))

    def _at(self, when: float, event: Callable[[], Any], *, is_urgent: bool = False) -> None:
        heapq.heappush(self.due, (when, next(self.numbers), is_urgent, event))

    @outside
    def _open(self, make_slots: object, num_cpus: int) -> Result:
        return Result(self.clock.now, lambda: [Slot("cpu", core=core) for core in range(num_cpus)], self.turns)

    @outside
    def _turn(self, number: int, orders: Sequence[Any], answers: Sequence[tuple[str, Any]], wish: str) -> Result:
        assert not answers
        now = self.clock.now
        for order in orders:
            self._start(pickle.loads(order.payload), now)
        ends_at = now + sys.modules[EXECUTOR].TURN_SECONDS
        ends_at = min([ends_at, *(when for when, _, is_urgent, _ in self.due if is_urgent)])
        return Result(ends_at, lambda: self._happened(ends_at), self.turns)

    def _start(self, task: Task, now: float) -> None:
        if task.key.startswith("prepare"):
            self._at(now, lambda: Ended(task.key, "returned", describe_node(["cpu"])), is_urgent=True)
        else:
            assignment = task.arguments[0]
            assert not assignment.policy.goes_on  # else it would ask for files
            self._train(assignment.cell, now + 0.5)

    def _train(self, cell: Cell, now: float) -> None:
        key, seconds = cell.cell_id, CELL_SECONDS * self.random.uniform(0.8, 1.2)
        if self.num_trained < SLOTS:  # else the first ones would all end at once
            seconds *= self.random.uniform(0.1, 1)
        self.num_trained += 1
        metrics = dict(self.stub.record.metrics)
        self._at(now, lambda: Message(key, CellReady(metrics)))
        for number, epoch in enumerate(self.stub.record.history, start=1):
            done = Message(key, EpochDone(metrics, epoch.known()))
            self._at(now + seconds * number / (NUM_EPOCHS + 1), lambda done=done: done)
        self._at(now + seconds, lambda: Ended(key, "returned", self.stub.result(cell)), is_urgent=True)

    def _happened(self, until: float) -> bytes:
        events = []
        while self.due and self.due[0][0] <= until:
            events.append(heapq.heappop(self.due)[3]())
        return pickle.dumps(events)


class Ray:
    """The module `ray`, as far as the executor uses it."""

    def __init__(self, num_workers: int, stub: StubCells) -> None:
        self.clock = Clock()
        self.turns = Turns(self.clock)
        random = np.random.default_rng(0)
        self._num_slots = min(SLOTS, num_workers)
        self._names = [f"{number:08x}" for number in range(num_workers // self._num_slots)]
        self._actors = iter([Node(self.turns, stub, random) for _ in self._names])

    def get_runtime_context(self) -> SimpleNamespace:
        return SimpleNamespace(gcs_address="head:1")

    def nodes(self) -> list[dict[str, Any]]:
        return [{"NodeID": name, "Alive": True, "Resources": {"CPU": self._num_slots}} for name in self._names]

    def remote(self, actor: type) -> Any:
        made = SimpleNamespace(remote=lambda preload: next(self._actors))
        return SimpleNamespace(options=lambda **_: made)

    @outside
    def wait(
        self, results: Sequence[Result], num_returns: int = 1, timeout: float = 0.0
    ) -> tuple[list[Result], list[Result]]:
        assert 1 <= num_returns <= len(results)
        ends = [result.ends_at for result in results]
        ready_at = min(ends) if num_returns == 1 else heapq.nsmallest(num_returns, ends)[-1]
        self.clock.now = max(self.clock.now, min(ready_at, self.clock.now + timeout))
        ready = [result for result in results if result.ends_at <= self.clock.now][:num_returns]
        found = set(map(id, ready))
        return ready, [result for result in results if id(result) not in found]

    @outside
    def get(self, results: Any, timeout: float | None = None) -> Any:
        return [one.value() for one in results] if isinstance(results, list) else results.value()

    def kill(self, actor: Node) -> None:
        """Nothing runs on in it."""


@contextmanager
def executor_with(ray: Ray) -> Iterator[Any]:
    """The executor's module with stand-ins for Ray, which need not be installed, and for the time."""
    parts = ("ray", "ray.exceptions", "ray.util", "ray.util.scheduling_strategies")
    modules = {name: ModuleType(name) for name in parts}
    for name in ("get_runtime_context", "nodes", "remote", "wait", "get", "kill"):
        setattr(modules["ray"], name, getattr(ray, name))
    modules["ray.exceptions"].RayError = type("RayError", (Exception,), {})  # type: ignore[attr-defined]
    strategies: Any = modules["ray.util.scheduling_strategies"]
    strategies.NodeAffinitySchedulingStrategy = lambda name, soft: name
    with pytest.MonkeyPatch.context() as patch:
        for name, module in modules.items():
            patch.setitem(sys.modules, name, module)
        patch.delitem(sys.modules, EXECUTOR, raising=False)
        patch.setattr(executors, "ray", None, raising=False)
        executor: Any = importlib.import_module(EXECUTOR)
        patch.setattr(executor.Head, "answers", lambda head: True)
        executor.SimpleQueue = lambda: ray.turns
        executor.time = SimpleNamespace(monotonic=lambda: ray.clock.now, sleep=lambda seconds: None)
        try:
            yield executor
        finally:
            del sys.modules[EXECUTOR]


@dataclass
class Load:
    """What a run takes of its driver from the first end of a cell on, once all workers have begun."""

    start_seconds: float = 0.0
    """Processor time before the first cell started."""
    num_ended: int = 0
    marks: list[tuple[float, float, int, int]] = field(default_factory=list)
    """Processor time, simulated time, files synced and turns: at the first end, and at the last."""

    @property
    def milliseconds(self) -> float:
        """Processor time for each cell that ended."""
        return 1000 * self._each(0)

    @property
    def cells_per_second(self) -> float:
        return 1 / self._each(1)

    @property
    def num_syncs(self) -> float:
        """For each cell."""
        return self._each(2)

    @property
    def num_turns(self) -> float:
        """For each cell."""
        return self._each(3)

    def _each(self, index: int) -> float:
        first, last = (mark[index] for mark in self.marks)
        return (last - first) / (self.num_ended - 1)


class EnoughError(Exception):
    """As many cells have ended as were to be seen."""


def load_grid(path: Path, num_cells: int, num_seeds: int = 100) -> Grid:
    rates = ", ".join(f"{0.001 * (1 + number):.3f}" for number in range(num_cells // num_seeds))
    path.write_text(GRID.replace("RATES", rates).replace("SEEDS", str(num_seeds)))
    grid = Grid.load(path, RegistryCatalog(), allow_many=True)
    assert len(grid.cells) == num_cells
    return grid


def simulate(
    grid: Grid,
    folder: Path,
    num_workers: int,
    num_ended: int,
    stub: StubCells,
    on_end: Callable[[int], None] = lambda number: None,
) -> Load:
    """Run a grid on so many workers until so many cells have ended; `on_end` is told the number of each.

    Cells that end before every worker has had its first are not counted.
    """
    ray, load, state, fsync = Ray(num_workers, stub), Load(), RunState("many"), os.fsync
    synced: list[int] = []
    started: set[str] = set()

    def sync(descriptor: int) -> None:
        synced.append(descriptor)
        fsync(descriptor)

    with (
        executor_with(ray) as executor,
        pytest.MonkeyPatch.context() as patch,
        Path(os.devnull).open("w") as stream,
        progress_on(stream, grid.summary) as show,
        suppress(EnoughError),
    ):

        def listen(event: Event) -> None:
            show(event)
            state(event)
            with ray.clock.outside():
                if isinstance(event, CellStarted):
                    load.start_seconds = load.start_seconds or ray.clock.driver_seconds
                    started.add(event.cell.cell_id)
                if not isinstance(event, CellEnded) or len(started) < num_workers:
                    return
                assert event.record.outcome == "trained"
                load.num_ended += 1
                load.marks[1:] = [(ray.clock.driver_seconds, ray.clock.now, len(synced), ray.turns.num_ended)]
                on_end(load.num_ended)
                if load.num_ended == num_ended:
                    raise EnoughError

        @contextmanager
        def opened_executor(*_: object, **__: object) -> Iterator[Any]:
            cluster = executor.RayCluster(None, ())
            cluster.open()
            yield executor.RayExecutor(cluster)

        patch.setattr(os, "fsync", sync)
        patch.setattr(session, "opened_executor", opened_executor)
        run_grid(grid, ResultsFolder(folder), RunOptions(device="cpu", measure=False, reuse=False), listen)
    assert load.num_ended == num_ended
    return load
