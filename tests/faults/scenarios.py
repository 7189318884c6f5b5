"""What forked processes do: run a grid, go on with it, and be hit by a fault meanwhile."""

import ctypes
import json
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from nin_bench import api, cli
from nin_bench.catalog import RegistryCatalog
from nin_bench.checkpoint import Checkpoints
from nin_bench.errors import NinBenchError
from nin_bench.executors import Channel, Slot
from nin_bench.grid import Grid
from nin_bench.reporting import build
from nin_bench.reporting.build import build_report
from nin_bench.results import ResultsFolder
from nin_bench.results.sharing import OtherFolders
from nin_bench.runner import active_cell, nodes, run, session
from nin_bench.runner.cell_queue import TRAIN, CellTask
from nin_bench.runner.cell_training import CellTraining
from nin_bench.runner.events import CellEnded, Event
from nin_bench.runner.messages import Assignment, CheckpointPolicy
from nin_bench.runner.record import make_record
from nin_bench.runner.run import run_grid
from nin_bench.runner.session import PRELOAD, RunOptions
from nin_bench.runner.worker import run_cell, run_cell_task
from nin_bench.training.trainer import Trainer
from tests import looks_cells
from tests.faults import stub_cells
from tests.faults.broken_disk import BrokenDisk
from tests.faults.inline_executor import InlineExecutor
from tests.waiting_cells import WAITING

RUN = ["run", "--grid", "grid.yaml", "--device", "cpu", "--no-measure", "--data-dir", "."]
STUB = CellTask(stub_cells.train, (*stub_cells.PRELOAD, "tests.faults.stub_cells"))


def results_in(place: str) -> ResultsFolder:
    return ResultsFolder(Path(place) / "results")


# A whole run


def run_stubs(place: str) -> None:
    """Run the place's grid with cells that are no networks; what is acknowledged goes to a file."""
    _run(place, STUB)


def run_looks(place: str) -> None:
    """Run the place's grid with cells that have accuracies, until its claims are decided."""
    _run(place, CellTask(looks_cells.train, looks_cells.PRELOAD))


def run_networks(place: str, checkpoint_seconds: float) -> None:
    """Run the place's grid; every step and every checkpoint goes to a file, with its time."""
    os.environ["STEP_LOG"] = str(Path(place) / "steps")
    _run(place, CellTask(run_cell_noting_steps, PRELOAD), checkpoint_seconds=checkpoint_seconds)


def _run(place: str, task: CellTask, **options: Any) -> None:
    acknowledged = os.open(Path(place) / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def listen(event: Event) -> None:
        if isinstance(event, CellEnded):
            outcome = event.record.outcome
            os.write(acknowledged, f"{event.cell.cell_id} {outcome}\n".encode())

    options = {"device": "cpu", "workers": 2, "data_dir": Path(place), "measure": False, **options}
    summary = run_grid(_grid(place), results_in(place), RunOptions(**options), listen, task=task)
    sys.exit(0 if set(summary.outcomes) == {"trained"} else 1)


def _grid(place: str) -> Grid:
    return Grid.load(Path(place) / "grid.yaml", RegistryCatalog(Path(place)))


def run_cell_noting_steps(channel: Channel, slot: Slot, assignment: Assignment) -> Any:
    """`run_cell_task`, in a worker, with a line for every step and every checkpoint: cell, what, number, time."""
    log = os.open(os.environ["STEP_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(what: str, number: int) -> None:
        os.write(log, f"{assignment.cell.cell_id} {what} {number} {time.monotonic()}\n".encode())

    step, save = Trainer.step, Checkpoints.save

    def noted_step(trainer: Trainer, indices: Any) -> tuple[float, int]:
        told = step(trainer, indices)
        note("step", trainer.progress.num_steps + 1)
        return told

    def noted_save(checkpoints: Checkpoints, record: Any, state: Any) -> None:
        save(checkpoints, record, state)
        note("saved", record.metrics.num_steps)

    Trainer.step, Checkpoints.save = noted_step, noted_save  # type: ignore[method-assign]
    return run_cell_task(channel, slot, assignment)


# A command as it is


def run_command(place: str, arguments: list[str]) -> None:
    """The command line, in a folder."""
    os.chdir(place)
    cli.main(arguments)


# A signal at a phase


def run_command_signalled(place: str, phase: str, number: int, times: int, stubborn: bool) -> None:
    """The command line's `run`, which is sent a signal when it enters a phase."""

    def send() -> None:
        for _ in range(times):
            os.kill(os.getpid(), number)

    os.chdir(place)
    if phase in ("planning", "loading data"):
        owner, name = (run, "load_plan") if phase == "planning" else (nodes, "load_dataset")
        _before(owner, name, send)
    elif phase == "training":
        _before(active_cell.ActiveCell, "on_message", send)
    elif phase == "writing the report":
        _before(build, "report", send)
    os.environ["SIGNAL_PARENT"] = f"{number} {times}"
    tasks = {"training": WAITING, "evaluating": CellTask(run_cell_signalling)}
    task = CellTask(stub_cells.hang) if stubborn else tasks.get(phase, TRAIN)
    api.run_grid = partial(run.run_grid, task=task)  # type: ignore[attr-defined]
    cli.main([*RUN, "--workers", "2"])


def _before(owner: Any, name: str, act: Any) -> None:
    """Let something happen when a function is first called."""
    function, left = getattr(owner, name), [act]

    def called(*arguments: Any, **options: Any) -> Any:
        while left:
            left.pop()()
        return function(*arguments, **options)

    setattr(owner, name, called)


def run_cell_signalling(channel: Channel, slot: Slot, assignment: Assignment) -> Any:
    """`run_cell_task`, in a worker; when it comes to evaluate, it signals the parent and waits for its answer."""
    number, times = map(int, os.environ["SIGNAL_PARENT"].split())

    def send() -> None:
        for _ in range(times):
            os.kill(multiprocessing.parent_process().pid, number)
        while not channel.should_stop():
            time.sleep(0.01)

    _before(CellTraining, "evaluate", send)
    return run_cell_task(channel, slot, assignment)


# A disk that fails


def run_stubs_on_broken_disk(place: str, at: int, how: str) -> None:
    """`run_stubs`, with the runner's disk broken at one of its operations."""
    with BrokenDisk(Path(place), at, how):
        try:
            run_stubs(place)
        except NinBenchError as refusal:
            sys.stderr.write(f"{refusal}\n")
            sys.exit(2)


def train_on_broken_disk(place: str, at: int, how: str) -> None:
    """Train the place's cell in this process, with a checkpoint after every step, and store its record."""
    cell, folder = _grid(place).cells[0], results_in(place)
    policy = CheckpointPolicy(folder.checkpoints_path, 0.0, folder.weights_path(cell.cell_id))
    with BrokenDisk(Path(place), at, how):
        result = run_cell(Assignment(cell, policy=policy))
    folder.write_record(result.record)


def run_networks_on_broken_disk(place: str, at: int, how: str) -> None:
    """The command line's `run`, with the disk of the workers broken."""
    os.chdir(place)
    os.environ["BROKEN_DISK"] = json.dumps([place, at, how])
    api.run_grid = partial(run.run_grid, task=CellTask(run_cell_on_broken_disk, PRELOAD))  # type: ignore[attr-defined]
    cli.main([*RUN, "--workers", "1"])


def run_cell_on_broken_disk(channel: Channel, slot: Slot, assignment: Assignment) -> Any:
    place, at, how = json.loads(os.environ["BROKEN_DISK"])
    with BrokenDisk(Path(place), at, how):
        return run_cell_saving_every_step(channel, slot, assignment)


def save_checkpoint_on_broken_disk(place: str, at: int, how: str) -> None:
    """Save a checkpoint of step 2 beside those of steps 0 and 1."""
    import torch

    cell = _grid(place).cells[0]
    record = make_record(cell, "interrupted", started_at="", metrics={"num_steps": 2})
    state = {"step": 2, "weights": torch.full((10_000,), 2.0)}
    with BrokenDisk(Path(place), at, how):
        Checkpoints(Path(place) / "checkpoints", cell).save(record, state)


def take_over_on_broken_disk(place: str, at: int, how: str) -> None:
    """Take over every cell of the place's grid from the folder `root/source/full` into `root/goal/full`."""
    root = Path(place) / "root"
    goal = ResultsFolder(root / "goal" / "full")
    others = OtherFolders.under([root], goal)
    with BrokenDisk(goal.path, at, how):
        for cell in _grid(place).cells:
            shared = others.find(cell, lambda found: True)
            assert shared is not None
            try:
                shared.take_over(goal, cell.label)
            except NinBenchError as refusal:
                sys.stderr.write(f"{refusal}\n")
                sys.exit(2)


def report_on_broken_disk(place: str, at: int, how: str) -> None:
    """Write the place's report anew."""
    with BrokenDisk(Path(place), at, how):
        build_report(results_in(place).path, Path(place) / "report")


def run_command_within(place: str, file_size: int) -> None:
    """The command line's `run`, when no file may grow beyond so many bytes."""
    os.chdir(place)
    if file_size:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    cli.main([*RUN, "--workers", "1", "--keep-weights"])


# A system call that fails (the process has failing_calls.c preloaded)


@contextmanager
def _failing(place: str, family: str, at: int, code: int) -> Iterator[None]:
    """Meanwhile one call of a family fails; how many there were is left in the place's file `calls`."""
    library = ctypes.CDLL(None)
    library.fault_arm(family.encode(), ctypes.c_long(at), code)
    try:
        yield
    finally:
        num_calls = library.fault_disarm()
        (Path(place) / "calls").write_text(str(num_calls))


def _run_without_report(task: CellTask = STUB) -> None:
    """Have the command line train such cells, and write no report, which takes longer than all the rest."""
    run_grid_itself = run.run_grid

    def run_such_grid(*arguments: Any, at_end: Any) -> Any:
        return run_grid_itself(*arguments, task=task)

    api.run_grid = run_such_grid  # type: ignore[attr-defined]


def run_command_inline(place: str, family: str, at: int, code: int) -> None:
    """The command line's `run` with stub cells in this process, no report; one system call of a family fails."""
    os.chdir(place)
    session.LocalExecutor = InlineExecutor  # type: ignore[misc,attr-defined]
    _run_without_report()
    with _failing(place, family, at, code):
        cli.main([*RUN, "--workers", "1"])


def run_command_with_workers(place: str, family: str, at: int, code: int, in_forkserver: bool) -> None:
    """The same with workers; the call fails here, or in the processes that are started by this one."""
    os.chdir(place)
    _run_without_report()
    if in_forkserver:
        os.environ["FAULT"] = f"{family} {at} {code}"
        cli.main([*RUN, "--workers", "2"])
    with _failing(place, family, at, code):
        cli.main([*RUN, "--workers", "2"])


def train_with_failing_calls(place: str, family: str, at: int, code: int) -> None:
    """Train the place's cell in this process, with a checkpoint after every step, and store its record."""
    cell, folder = _grid(place).cells[0], results_in(place)
    policy = CheckpointPolicy(folder.checkpoints_path, 0.0, folder.weights_path(cell.cell_id))
    os.environ["FAULTS_TOLD"] = str(Path(place) / "failed")
    with _failing(place, family, at, code):
        try:
            result = run_cell(Assignment(cell, policy=policy))
            folder.write_record(result.record)
        except NinBenchError as refusal:
            sys.stderr.write(f"{refusal}\n")
            sys.exit(2)


def run_networks_in_failing_workers(place: str, family: str, at: int, code: int) -> None:
    """The command line's `run`, no report, whose workers save after every step; each fails one call of a family.

    This process, which has everything imported, forks them; failed calls are lines of the place's file `failed`.
    """
    os.chdir(place)
    os.environ["FAULTS_TOLD"] = str(Path(place) / "failed")
    multiprocessing.get_context = lambda kind: _Forking()  # type: ignore[assignment,misc]
    _run_without_report(CellTask(run_cell_saving_every_step, PRELOAD))
    if at:
        ctypes.CDLL(None).fault_arm_forked(family.encode(), ctypes.c_long(at), code)
    cli.main([*RUN, "--workers", "1", "--keep-weights"])


class _Forking(multiprocessing.context.ForkContext):
    """Starts workers as the forkserver's context does, without a forkserver."""

    def set_forkserver_preload(self, names: Any) -> None:
        """All is imported already."""


def run_cell_saving_every_step(channel: Channel, slot: Slot, assignment: Assignment) -> Any:
    return run_cell_task(channel, slot, replace(assignment, policy=replace(assignment.policy, seconds=0.0)))
