"""The machines of an executor, each made ready before its first job: what it is, and the data that it lacks."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from nin_bench.cell import DataSpec
from nin_bench.data.carried import Part, parts_of, receive_parts
from nin_bench.data.dataset import load_dataset
from nin_bench.data.describe import source_of
from nin_bench.data.sources import OFFLINE, data_root
from nin_bench.environment import describe_machine, device_memory_bytes, environment_of
from nin_bench.errors import InputError
from nin_bench.executors import Channel, Ended, Executor, Slot, SomeSlots, Task
from nin_bench.runner.scheduler import Job, Kind, NextJob, Scheduler, describe_end
from nin_bench.runner.worker import prepare_process


@dataclass(frozen=True)
class Node:
    """A machine that is ready."""

    environment: Mapping[str, Any]
    """As `environment_of` tells."""
    machine: dict[str, Any]
    """The machine, as `describe_machine` describes it."""
    device_bytes: Mapping[str, int]
    """Memory of each accelerator, by its name."""


@dataclass(frozen=True)
class PartWanted:
    """A node asks for the next `Part` of some images."""

    spec: DataSpec


def describe_node(devices: Sequence[str]) -> Node:
    """This machine, of whose devices these are used."""
    known = {device: device_memory_bytes(device) for device in devices}
    device_bytes = {device: num_bytes for device, num_bytes in known.items() if num_bytes is not None}
    return Node(environment_of(devices[0]), describe_machine(devices[0]), device_bytes)


def prepare_node_task(
    channel: Channel, slot: Slot, specs: Sequence[DataSpec], reads_test: bool, devices: Sequence[str]
) -> Node | InputError:
    """Verify the data that this machine has, fetch what it lacks, and say what it is; an executor's task."""
    prepare_process(slot)
    os.environ[OFFLINE] = "1"  # what is not here comes from the driver
    try:
        for spec in specs:
            try:
                _verify(spec, None, reads_test)
            except InputError:
                receive_parts(spec, data_root(None), partial(channel.ask, PartWanted(spec)))
                _verify(spec, None, reads_test)
    except InputError as refusal:
        return InputError(str(refusal))
    return describe_node(devices)


def _verify(spec: DataSpec, data_dir: Path | None, reads_test: bool) -> None:
    dataset = load_dataset(spec, data_dir)
    if reads_test:
        dataset.load_test()


class Nodes:
    """The machines of an executor; InputError if the data cannot be had here, or no machine can be used."""

    def __init__(
        self, executor: Executor, specs: Sequence[DataSpec], data_dir: Path | None, *, reads_test: bool = True
    ) -> None:
        self.specs = specs
        self.reads_test = reads_test
        self._executor = executor
        self._data_dir = data_dir
        self._ready: dict[str, Node] = {}
        self._refusals: dict[str, str] = {}
        for spec in specs:
            _verify(spec, data_dir, reads_test)  # its files are verified here, its images used in a cell
        self.device_bytes: dict[str, int] = {}
        """Memory of the accelerators of all machines that are ready, by `str(slot)`."""
        if any(not slot.node for slot in executor.slots):
            self._add("", describe_node(self.devices("")))
        else:
            Scheduler(executor, admit=self.admit).run(lambda slot: None)
        if not self.slots and not executor.stopping:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in self._refusals.items())
            raise InputError(f"no node can be used ({reasons}); mend one, then run the same command again")

    @property
    def slots(self) -> Sequence[Slot]:
        """Where cells can run now."""
        return [slot for slot in self._executor.slots if slot.node in self._ready]

    @property
    def kinds(self) -> list[Kind]:
        """A machine of each kind."""
        found: dict[str, Kind] = {}
        for slot in self.slots:
            machine = self._ready[slot.node].machine
            part = SomeSlots(self._executor, partial(_is_of, slot.node))
            found.setdefault(machine["fingerprint"], Kind(machine, part, self.device_bytes))
        return list(found.values())

    @property
    def first(self) -> Node:
        """The first machine that became ready."""
        return next(iter(self._ready.values()))

    def admit(self, slot: Slot, next_job: NextJob) -> Job | None:
        """The next job for a slot: first the one that makes its machine ready, and none if that failed."""
        if slot.node in self._ready:
            while isinstance(job := next_job(slot), _Preparation):
                pass  # its node was lost meanwhile
            return job
        return None if slot.node in self._refusals else _Preparation(self, f"prepare {slot.node}", slot.node)

    def ended(self, name: str, end: Ended) -> None:
        """A machine's preparation is over."""
        if isinstance(end.result, Node):
            self._add(name, end.result)
        elif end.how != "lost":
            why = str(end.result) if end.how == "returned" else describe_end(end, None)[1]
            self._refusals[name] = why.splitlines()[0]

    def devices(self, name: str) -> list[str]:
        """The devices of a machine."""
        return [*dict.fromkeys(slot.device for slot in self._executor.slots if slot.node == name)]

    def _add(self, name: str, node: Node) -> None:
        self._ready[name] = node
        for device, num_bytes in node.device_bytes.items():
            self.device_bytes[str(Slot(device, node=name))] = num_bytes

    def parts_of(self, spec: DataSpec) -> Iterator[Part]:
        """The images that a node lacks."""
        return parts_of(spec, source_of(spec, self._data_dir), data_root(self._data_dir))


def _is_of(node: str, slot: Slot) -> bool:
    return slot.node == node


@dataclass
class _Preparation:
    """The job that makes a node ready."""

    nodes: Nodes
    key: str
    name: str
    parts: dict[DataSpec, Iterator[Part]] = field(default_factory=dict)

    def task(self) -> Task:
        arguments = (self.nodes.specs, self.nodes.reads_test, self.nodes.devices(self.name))
        return Task(self.key, prepare_node_task, arguments, exclusive=True)

    def on_started(self, slot: Slot) -> None:
        """Nothing follows."""

    def on_message(self, wanted: PartWanted) -> Part | None:
        parts = self.parts.setdefault(wanted.spec, self.nodes.parts_of(wanted.spec))
        return next(parts, Part("", b""))

    def on_ended(self, end: Ended, *, may_retry: bool) -> None:
        self.nodes.ended(self.name, end)
