"""Run tasks on the nodes of a Ray cluster, where one actor a node runs what the local executor runs.

The driver decides what runs where, and asks every node that works for one turn after the other: a turn takes what
is to be started and answered, and returns what has happened. An end, or a question, ends a turn; what only tells
how work goes is taken together, once a second. So an actor does one thing at a time, and workers whose driver is
slow wait for it.
"""

import logging
import pickle
import signal
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nin_bench.errors import MachineError
from nin_bench.executors.occupancy import Occupancy
from nin_bench.executors.process import POLL_SECONDS
from nin_bench.executors.protocol import Ended, Event, Slot, Started, Task
from nin_bench.executors.ray_head import Head, reach
from nin_bench.executors.ray_node import TURN_SECONDS, MakeSlots, NodeWorkers
from nin_bench.executors.stopping import StopRequest, Wish
from nin_bench.executors.workers import Order

OPEN_SECONDS = 60.0
"""How long a driver waits at its start for nodes that other work holds, and later until a node has come."""
LOOK_SECONDS = 2.0
"""How often a driver looks for nodes that have come or gone."""
KILL_SECONDS = 10.0
"""How long an actor may take for a turn when all has to stop at once."""


@dataclass(eq=False)
class _Node:
    """A node, as the driver knows it."""

    name: str
    actor: Any
    opening: Any
    """What its slots will come as."""
    occupancy: Occupancy = field(default_factory=lambda: Occupancy(()))
    turn: Future[bytes] | None = None
    """The turn that it has."""
    turn_began: float = 0.0
    num_turns: int = 0
    orders: list[Order] = field(default_factory=list)
    answers: list[tuple[str, Any]] = field(default_factory=list)

    def give_turn(self, wish: Wish, ended: "SimpleQueue[_EndedTurn]") -> list[Order]:
        """Give it a turn, which is put into a queue when it is over; what it starts."""
        given, self.orders = self.orders, []
        self.turn_began = time.monotonic()
        self.num_turns += 1
        # Where an answer is lost with its connection, Ray asks again; the number tells the node.
        turn = self.actor.turn.options(max_task_retries=-1)
        self.turn = turn.remote(self.num_turns, given, self.answers, wish).future()
        self.answers = []
        self.turn.add_done_callback(lambda turn: ended.put((self, turn)))
        return given


_EndedTurn = tuple[_Node, Future[bytes]]


class RayCluster:
    """The nodes of the cluster that this process is connected to, each held whole by an actor."""

    def __init__(self, make_slots: MakeSlots, preload: Sequence[str]) -> None:
        self._make_slots = make_slots
        self._preload = preload
        self._nodes: dict[str, _Node] = {}
        """Those that are used, by Ray's id; those that are no longer used stay known."""
        self._refusals: dict[str, str] = {}
        """Why nodes are not used, by name."""
        self._kind: str | None = None
        """The kind of device that is used."""
        self._looked = -LOOK_SECONDS
        self.head = Head(ray.get_runtime_context().gcs_address)

    @property
    def open_nodes(self) -> list[_Node]:
        """Those whose slots are there."""
        return [node for node in self._nodes.values() if node.occupancy.slots]

    def open(self) -> None:
        """Wait for the slots of the nodes that there are; where devices differ in kind, accelerators are used.

        Raises:
            MachineError: there is none, or all are held by other work.
        """
        ends_at = time.monotonic() + OPEN_SECONDS
        self._take_on()
        while (opening := self._opening()) and time.monotonic() < ends_at:
            ray.wait(opening, timeout=LOOK_SECONDS)
            self._welcome()
        kinds = {node.occupancy.slots[0].device_kind for node in self.open_nodes}
        if not kinds:
            raise self.no_node()
        self._kind = max(kinds, key=lambda kind: kind != "cpu")
        for node in self.open_nodes:
            self._check_kind(node)

    def look(self) -> None:
        """Take on nodes that have come, and forget idle ones that have gone; now and then only."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        if not self.head.answers():
            return
        alive = self._take_on()
        for ray_id, node in self._nodes.items():
            if ray_id not in alive and node.occupancy.slots and not node.occupancy.keys:
                self.drop(node, "it is gone")
        for node in self.open_nodes:
            if node.turn is not None and time.monotonic() - node.turn_began > LOOK_SECONDS:
                # Whether its connection has outlived a cut of the network shows once something is sent.
                node.actor.__ray_ready__.remote()
        self._welcome()

    def drop(self, node: _Node, reason: str) -> None:
        """Use a node no more."""
        self._refusals[node.name] = reason
        node.occupancy = Occupancy(())
        node.opening = node.turn = None
        if self.head.failure is None:
            ray.kill(node.actor)

    def no_node(self) -> MachineError:
        """What to raise where there is no node to work on."""
        reasons = [f"{name}: {reason}" for name, reason in self._refusals.items()]
        why = "; ".join(reasons) if reasons else "none has a CPU that is free"
        return MachineError(
            f"no node of the Ray cluster can be used ({why}); see `ray status`, then run the same command again"
        )

    def _take_on(self) -> set[str]:
        """Start an actor on each new node that has CPUs; the ids of all that are alive."""
        known: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        alive = {found["NodeID"]: found for found in known if found["Alive"]}
        for ray_id, found in alive.items():
            num_cpus = int(found["Resources"].get("CPU", 0))
            if ray_id in self._nodes or num_cpus < 1:
                continue
            actor: Any = (
                ray.remote(NodeWorkers)
                .options(
                    num_cpus=num_cpus,
                    num_gpus=int(found["Resources"].get("GPU", 0)),
                    scheduling_strategy=NodeAffinitySchedulingStrategy(ray_id, soft=False),
                )
                .remote(self._preload)
            )
            self._nodes[ray_id] = _Node(ray_id[:8], actor, actor.open.remote(self._make_slots, num_cpus))
        return set(alive)

    def _opening(self) -> list[Any]:
        return [node.opening for node in self._nodes.values() if node.opening is not None]

    def _welcome(self) -> None:
        """Use the nodes whose slots have come."""
        opening = self._opening()
        opened = ray.wait(opening, num_returns=len(opening), timeout=0)[0] if opening else []
        for node in self._nodes.values():
            if node.opening not in opened:
                continue
            try:
                slots = ray.get(node.opening)
            except RayError as error:
                self.drop(node, _cause(error))
                continue
            node.opening = None
            node.occupancy = Occupancy([replace(slot, node=node.name) for slot in slots])
            self._check_kind(node)

    def _check_kind(self, node: _Node) -> None:
        kind = node.occupancy.slots[0].device_kind
        if self._kind not in (None, kind):
            self.drop(node, f"it has {kind}, and others {self._kind}")


@contextmanager
def ray_cluster(
    address: str, make_slots: MakeSlots, preload: Sequence[str], runtime_env: Mapping[str, Any]
) -> Iterator[RayCluster]:
    """While it is entered, a cluster's nodes are held; MachineError if there is none, or no node can be used."""
    # Ray prints on stdout what becomes of nodes, and has no option against it; stdout is the command's own.
    ray._private.worker.print_to_stdstream = lambda *_, **__: None
    try:
        # Where nothing listens, Ray waits for more than a minute, then ends this process.
        reach(ray._private.services.canonicalize_bootstrap_address_or_die(address))
        ray.init(address, runtime_env=dict(runtime_env), log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError, RayError) as error:
        raise MachineError(
            f"--ray-address {address}: {_cause(error)}; start a cluster with `ray start --head`, or give the "
            "HOST:PORT of its head"
        ) from error
    try:
        cluster = RayCluster(make_slots, preload)
        cluster.open()
        yield cluster
    finally:
        ray.shutdown()


class RayExecutor:
    """An `Executor` on the nodes of a Ray cluster."""

    def __init__(self, cluster: RayCluster) -> None:
        self._cluster = cluster
        self._stop = StopRequest()
        self._at_once_since: float | None = None
        self._ended: SimpleQueue[_EndedTurn] = SimpleQueue()

    @property
    def slots(self) -> Sequence[Slot]:
        """Those of all nodes that are there now."""
        return [slot for node in self._cluster.open_nodes for slot in node.occupancy.slots]

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_made

    def stop(self) -> None:
        """Start nothing more and ask the workers to stop; called again, kill them. Safe in a signal handler."""
        self._stop.make()

    def answer(self, key: str, content: Any) -> None:
        """Reply to a task that waits in `Channel.ask`; a task that has died meanwhile receives nothing."""
        for node in self._cluster.open_nodes:
            if key in node.occupancy:
                node.answers.append((key, content))

    def run(self, next_task: Callable[[Slot], Task | None]) -> Generator[Event, None, None]:
        """Run tasks as slots become free, and yield events in the order in which they are noticed.

        See `Executor.run`. Nodes that come are used; what ran on one that goes ends `lost`.

        Raises:
            MachineError: no node is left, and none has come for a minute; or the head of the cluster is gone, and
                the workers have been stopped in order.
        """
        without_nodes_since: float | None = None
        try:
            while True:
                self._cluster.look()
                if self._cluster.head.failure is not None and not self.stopping:
                    self.stop()
                nodes = self._cluster.open_nodes
                for node in nodes:
                    if node.occupancy.has_room:
                        self._fill(node, next_task)
                    if node.turn is None and (node.occupancy.is_busy or node.answers):
                        for order in node.give_turn(self._stop.wish, self._ended):
                            yield Started(order.key, order.slots[0])
                if any(node.turn is not None for node in nodes):
                    yield from self._receive()
                elif nodes or self.stopping:
                    break
                else:
                    without_nodes_since = without_nodes_since or time.monotonic()
                    if time.monotonic() - without_nodes_since > OPEN_SECONDS:
                        raise self._cluster.no_node()
                    time.sleep(POLL_SECONDS)
                    continue
                without_nodes_since = None
        except RayError as error:
            raise MachineError(
                f"the Ray cluster fails: {_cause(error)}; start it again, then run the same command again"
            ) from error
        finally:
            self._kill_all()
        if self._cluster.head.failure is not None:
            raise self._cluster.head.failure

    def _fill(self, node: _Node, next_task: Callable[[Slot], Task | None]) -> None:
        while not self.stopping and (taken := node.occupancy.take(next_task)):
            task, slots = taken
            node.orders.append(Order(task.key, pickle.dumps(task), slots, task.timeout_seconds))

    def _receive(self) -> Iterator[Event]:
        """Wait for the end of a node's turn, for a moment at most, and take all that have ended by then."""
        ended = []
        with suppress(Empty):
            ended.append(self._ended.get(timeout=TURN_SECONDS))
            while True:
                ended.append(self._ended.get_nowait())
        for node, turn in ended:
            if node.turn is not turn:
                continue  # its node was given up
            node.turn = None
            try:
                events = pickle.loads(turn.result())
            except RayError as error:
                yield from self._lose(node, _cause(error))
                continue
            for event in events:
                if isinstance(event, Ended):
                    node.occupancy.release(event.key)
                yield event
        if self._stop.wish == "stop at once":
            self._at_once_since = self._at_once_since or time.monotonic()
            if time.monotonic() - self._at_once_since > KILL_SECONDS:
                for node in self._cluster.open_nodes:
                    if node.turn is not None:
                        yield from self._lose(node, "it did not stop")

    def _lose(self, node: _Node, reason: str) -> Iterator[Ended]:
        """A node is gone, or was given up, and all that ran there with it."""
        keys = node.occupancy.keys
        self._cluster.drop(node, reason)
        for key in keys:
            if self._stop.wish == "stop at once":
                yield Ended(key, "killed", exit_code=-signal.SIGKILL)
            else:
                yield Ended(key, "lost", output=reason)

    def _kill_all(self) -> None:
        """Let nothing run on, where a run is left early."""
        busy = [node for node in self._cluster.open_nodes if node.occupancy.is_busy]
        with suppress(RayError):
            ray.get([node.actor.kill.remote() for node in busy], timeout=KILL_SECONDS)
        for node in self._cluster.open_nodes:
            node.turn, node.orders, node.answers = None, [], []
            node.occupancy.clear()


def _cause(error: BaseException) -> str:
    """What went wrong, in a line: the error that was raised on the node, where one was."""
    cause = getattr(error, "cause", None) or error
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]
