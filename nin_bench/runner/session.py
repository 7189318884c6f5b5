"""What running and measuring a grid share: their options, the places for workers, a locked folder, signals."""

import logging
import os
import re
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any, Literal

import torch

import nin_bench
from nin_bench.cell import DataSpec
from nin_bench.environment import describe_environment, num_cores
from nin_bench.errors import InputError, counted
from nin_bench.executors import Executor, LocalExecutor, Slot, claimed_cores
from nin_bench.failures import MAX_FAILURES
from nin_bench.grid import Grid
from nin_bench.models.code import definition_digests
from nin_bench.models.registry import use_own_file
from nin_bench.planning import check_same_grid
from nin_bench.plugins import own_file
from nin_bench.results import ResultsFolder
from nin_bench.results.folder_lock import sole_writer
from nin_bench.results.lock import locked
from nin_bench.results.sharing import OtherFolders
from nin_bench.runner.budget import EndedEarly, stopped_at
from nin_bench.runner.nodes import Nodes
from nin_bench.runner.record import now
from nin_bench.signals import STOP_SIGNALS

logger = logging.getLogger(__name__)

PRELOAD = ("nin_bench.runner.cost_benchmark", "nin_bench.runner.batch_worker", "torch._dynamo")
"""What every worker has imported: what it does, and what it would take a second to import when it makes its
optimizer."""
THREADS = "OMP_NUM_THREADS"
"""The environment variable by which Ray tells libraries how many threads to use."""


_ADDRESS = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}")
MAX_PER_DEVICE = 8
"""Workers that share an accelerator at most, unless somebody says how many. Each keeps a core busy."""


@dataclass(frozen=True)
class ProcessOptions:
    """Where processes work, and for how long; nothing here can change a result."""

    data_dir: Path | None = None
    device: str = "auto"
    workers: int | None = None
    """Processes on a CPU, or on each accelerator; None is one per core of a CPU, and on an accelerator as many as
    its memory holds, or one in a search."""
    timeout_seconds: float | None = None
    """For one cell, one trial, or one sample of a measuring."""
    retries: int = 0
    """Further tries, in this run or search, of a cell or a trial that crashed, timed out or ran out of memory."""
    max_failures: int = MAX_FAILURES
    """After so many failures alike, and none that ended between them, no more of a variant is tried."""
    ends_at: float | None = None
    """When work has to stop, by `time.monotonic`; None sets no limit."""
    ray_address: str | None = None
    """The Ray cluster whose nodes work, as `ray_cluster` takes it; None is this machine alone."""


@dataclass(frozen=True)
class RunOptions(ProcessOptions):
    """How a grid is run or measured.

    Nothing here can change a result, but for `batch_seeds` and `devices_per_cell` its last bits.
    """

    fresh: bool = False
    """Train all cells from their first step on, also those that are done; `measure_grid`: measure variants again
    that this machine has measured."""
    measure: bool = True
    """Measure, before training, the variants that this machine has not measured."""
    checkpoint_seconds: float = 60.0
    """How long a cell may train between two checkpoints."""
    batch_seeds: int | Literal["auto"] | None = None
    """How many seeds of a variant are trained as one batched model; `auto` has an accelerator train as many as fit
    of networks that are too small to keep it busy. None trains each alone."""
    devices_per_cell: int = 1
    """Devices, or cores of a CPU, that train one cell together; 1 has each train cells of its own."""
    accept_code_changes: bool = False
    """Take records for done that are of other code of their model than today's."""
    keep_weights: bool = False
    """Keep of every cell that is trained its weights, and the state that more epochs can go on from."""
    other_roots: Sequence[Path] = ()
    """Where other results folders lie, as `<root>/<grid>/<profile>`, whose records of planned cells are known."""
    reuse: bool = True
    """Whether such records are taken over."""
    num_rounds: int | None = None
    """Rounds of the cost benchmark; None is as many as the grid's hypotheses need. A variant that this machine has
    measured in fewer is measured again."""


@dataclass
class RunSession(EndedEarly):
    """A results folder that nobody else writes, and machines ready to work for it."""

    executor: Executor
    nodes: Nodes

    @property
    def machine(self) -> dict[str, Any]:
        """The first machine, as `describe_machine` tells."""
        return self.nodes.first.machine

    @property
    def num_nodes(self) -> int:
        """How many machines work."""
        return len({slot.node for slot in self.nodes.slots})

    @property
    def num_per_node(self) -> int:
        """How many workers a machine has, the one with the most of them."""
        return max(Counter(slot.node for slot in self.nodes.slots).values())

    @property
    def num_per_device(self) -> int:
        """How many workers share a device."""
        return max(Counter(map(str, self.nodes.slots)).values())


@contextmanager
def open_session(
    grid: Grid,
    folder: ResultsFolder,
    options: RunOptions,
    specs: Iterable[DataSpec],
    *,
    preload: Sequence[str] = PRELOAD,
    keep_looks: bool = True,
) -> Iterator[RunSession]:
    """While it is entered, hold a folder for a grid and slots for its workers; a signal asks the executor to stop.

    What is wrong with the input is found before the folder is made: a refused run leaves nothing behind. The first
    to hold a folder locks the grid's hypotheses.

    Raises:
        InputError: the data cannot be had, the device is not there.
        MachineError: there is no Ray cluster.
        ResultsError: the folder cannot be written, is in use, or holds another grid.
    """
    with ExitStack() as held:
        executor = held.enter_context(opened_executor(options, preload, share=options.devices_per_cell == 1))
        check_slots(executor.slots, options)
        session = RunSession(executor, Nodes(executor, [*dict.fromkeys(specs)], options.data_dir))
        held.enter_context(sole_writer(folder.path))
        check_same_grid(grid, folder)  # again: another run may have held the folder meanwhile
        folder.remove_leftovers()
        folder.check_writable()
        stored = folder.find_grid()
        code = {one.model.name: dict(definition_digests(one.model.name)) for one in grid.variants}
        resolved = grid.resolved(session.nodes.slots[0].device_kind, session.machine)
        looks = stored.looks if stored and keep_looks else ()
        resolved = resolved.model_copy(update={"looks": looks, "code": code})
        others = OtherFolders.under(options.other_roots, folder)

        def known_cells() -> set[str]:
            return folder.final_cells(resolved) | others.final_cells(resolved)

        folder.write_grid(locked(resolved, stored, known_cells, now()))
        with stop_on_signals(executor, session), stopped_at(options.ends_at, executor, session):
            yield session


@contextmanager
def opened_executor(options: ProcessOptions, preload: Sequence[str], *, share: bool = False) -> Iterator[Executor]:
    """While it is entered, hold what an executor's slots need: cores of this machine, or the nodes of a cluster.

    `share` is as `choose_slots` takes it.

    Raises:
        InputError: the device is not there, or Ray is not installed.
        MachineError: there is no Ray cluster.
    """
    device, workers = options.device, options.workers
    if options.ray_address is None:
        with claimed_cores(choose_slots(device, workers, share=share)) as slots:
            yield LocalExecutor(slots, preload)
        return
    check_ray(options.ray_address)
    from nin_bench.executors.ray import RayExecutor, ray_cluster

    own = own_file()
    own_name, num_threads = own.name if own else None, os.environ.get(THREADS)
    make_slots = partial(node_slots, device, workers, share, own_name, num_threads)
    with (
        TemporaryDirectory() as folder,
        ray_cluster(options.ray_address, make_slots, preload, _runtime_env(own, Path(folder))) as cluster,
    ):
        yield RayExecutor(cluster)


def check_ray(address: str) -> None:
    """See that Ray is installed, and an address can be one; InputError if not.

    Ray takes others, too: for `local` it starts a cluster of its own.
    """
    *_, port = address.rpartition(":")
    if address != "auto" and not (_ADDRESS.fullmatch(address) and 0 < int(port) < 65_536):
        raise InputError(f"--ray-address {address!r}: is no address; write auto, or the head's HOST:PORT")
    try:
        import nin_bench.executors.ray  # noqa: F401
    except ModuleNotFoundError as error:
        raise InputError("--executor ray: Ray is not installed; pip install 'nin-bench[ray]'") from error


def slots_here(options: ProcessOptions, *, share: bool = False) -> list[Slot]:
    """Where workers would run, for a plan: nothing is held, and a cluster is not asked.

    This machine then stands for the nodes; devices that it lacks they may have.

    Raises:
        InputError: the device is not there, or Ray is not installed.
    """
    if options.ray_address is not None:
        check_ray(options.ray_address)
    try:
        return choose_slots(options.device, options.workers, share=share)
    except InputError:
        if options.ray_address is None:
            raise
        return choose_slots("auto", options.workers, share=share)


def _runtime_env(own: Path | None, folder: Path) -> dict[str, Any]:
    """What travels to the nodes of a cluster: this package, a user's own file, and what can change bits."""
    travels: dict[str, Any] = {
        "py_modules": [str(Path(nin_bench.__file__).parent)],
        "excludes": ["**/__pycache__"],
        "env_vars": {name: os.environ[name] for name in describe_environment()["variables"]},
    }
    if own is None:
        return travels
    for path in own.parent.iterdir():  # what the file can import
        if path.suffix == ".py":
            shutil.copy(path, folder)
        elif (path / "__init__.py").is_file():
            shutil.copytree(path, folder / path.name, ignore=shutil.ignore_patterns("__pycache__"))
    return {**travels, "working_dir": str(folder)}


@contextmanager
def node_slots(
    device: str, workers: int | None, share: bool, own_name: str | None, num_threads: str | None, num_cpus: int
) -> Iterator[list[Slot]]:
    """On a node of a cluster: while it is entered, hold cores for its workers.

    Without `workers`, at most one for each CPU that Ray may use of this node. `own_name` is the user's own file,
    in the current folder; `num_threads` the driver's OMP_NUM_THREADS, since Ray sets one of its own.

    Raises:
        InputError: there is no such device here.
    """
    if num_threads is None:
        os.environ.pop(THREADS, None)
    if own_name is not None:
        use_own_file(Path(own_name))
    slots = choose_slots(device, workers, share=share)
    with claimed_cores(slots if workers else slots[:num_cpus]) as slots:
        yield slots


def check_options(options: RunOptions) -> None:
    """Refuse options that do not go together, as InputError."""
    if options.devices_per_cell == 1:
        return
    if options.batch_seeds is not None:
        raise InputError("--batch-seeds does not go with --devices-per-cell; leave one out")
    if options.ray_address is not None:
        raise InputError("--devices-per-cell: devices of one machine alone; leave out --executor ray")


def check_slots(slots: Sequence[Slot], options: RunOptions) -> None:
    """See that there are slots enough for a cell that takes several; InputError if there are not."""
    if (wanted := options.devices_per_cell) == 1:
        return
    if slots[0].device_kind != "cpu" and len({slot.device for slot in slots}) < len(slots):
        raise InputError("--workers: with --devices-per-cell an accelerator has one worker; leave --workers out")
    if len(slots) < wanted:
        what, remedy = ("worker", "raise --workers") if slots[0].device_kind == "cpu" else ("device", "lower it")
        raise InputError(f"--devices-per-cell {wanted}: there is only {counted(len(slots), what)} here; {remedy}")


def choose_slots(device: str, workers: int | None, *, share: bool = False) -> list[Slot]:
    """Where workers run: one per core of the CPU, not pinned yet, or on accelerators, which take turns.

    Args:
        device: `auto`, `cpu`, or a torch device (`cuda`, `cuda:1`); a kind alone takes all of its devices.
        workers: how many on a CPU, or on each accelerator; None is one per core that this process can keep busy,
            and one per accelerator.
        share: whether, without `workers`, several may share an accelerator, since somebody watches its memory.

    Raises:
        InputError: there is no such device here.
    """
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    kind, _, number = device.partition(":")
    if device == "auto":
        kind = accelerator.type if accelerator else "cpu"
    if kind == "cpu":
        if number:
            raise InputError(f"--device {device}: a CPU has no number; use --device cpu, and --workers")
        return [Slot("cpu") for _ in range(workers or num_cores())]
    if accelerator is None or accelerator.type != kind:
        here = accelerator.type if accelerator else "no accelerator"
        raise InputError(f"--device {device}: there is {here} here; use --device cpu")
    every = [str(index) for index in range(torch.accelerator.device_count())]
    if number and number not in every:
        raise InputError(f"--device {device}: there are {len(every)} such devices, numbered from 0")
    chosen = [number] if number else every
    shared = max(1, min(MAX_PER_DEVICE, num_cores() // len(chosen))) if share else 1
    return [Slot(f"{kind}:{index}") for _ in range(workers or shared) for index in chosen]


@contextmanager
def stop_on_signals(executor: Executor, summary: EndedEarly) -> Iterator[None]:
    """Meanwhile each of `STOP_SIGNALS` asks the executor to stop; a second SIGINT or SIGTERM stops it at once.

    A signal that is ignored stays so, as SIGHUP is under nohup.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        # A terminal that closes sends SIGHUP twice, and a scheduler may warn more than once.
        if summary.signal_number is not None and number not in (signal.SIGINT, signal.SIGTERM):
            return
        summary.signal_number = number
        executor.stop()
        logger.warning("stopping: every worker ends its step first; once more stops at once")

    # Only the main thread can have handlers, and is where they are called.
    is_main = threading.current_thread() is threading.main_thread()
    heeded = [number for number in STOP_SIGNALS if is_main and signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
