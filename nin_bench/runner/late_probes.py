"""Have networks that were trained before answer the grid's probes, from the state that was kept of them."""

from collections.abc import Callable, Iterable, Iterator

from nin_bench.cell import Cell
from nin_bench.executors import Ended, Task
from nin_bench.planning import PlannedCell
from nin_bench.results import ResultsFolder
from nin_bench.results.probes import ProbeFile, Probes
from nin_bench.runner.events import Event, Probed
from nin_bench.runner.messages import FilesWanted, ProbeAssignment
from nin_bench.runner.scheduler import Call, describe_end
from nin_bench.runner.session import RunOptions
from nin_bench.runner.worker import run_probe_task


def late_probes(
    planned: Iterable[PlannedCell],
    asked: Probes | None,
    folder: ResultsFolder,
    options: RunOptions,
    on_event: Callable[[Event], None],
) -> Iterator[Call]:
    """A job for each cell that is done, lacks probes and has kept weights."""
    for one in planned:
        if asked is not None and (one.state, one.probes) == ("done", "to make"):
            yield _job(one.cell, asked, folder, options, on_event)


def _job(
    cell: Cell, asked: Probes, folder: ResultsFolder, options: RunOptions, on_event: Callable[[Event], None]
) -> Call:
    key = f"probes of {cell.cell_id}"

    def task() -> Task:
        record, state = folder.read_record(cell.cell_id), folder.state_path(cell.cell_id)
        assert record is not None
        assert record.metrics.test_accuracy is not None
        assignment = ProbeAssignment(cell, options.data_dir, state, asked, record.metrics.test_accuracy)
        return Task(key, run_probe_task, (assignment,), options.timeout_seconds)

    def ended(end: Ended) -> None:
        answer = end.result if end.how == "returned" else describe_end(end, options.timeout_seconds)[1]
        if isinstance(answer, ProbeFile):
            answer.write(folder.probes_path(cell.cell_id))
        on_event(Probed(cell, None if isinstance(answer, ProbeFile) else answer))

    def state(asked: FilesWanted) -> bytes:
        """What a worker asks for that cannot see the folder."""
        return folder.state_path(cell.cell_id).read_bytes()

    return Call(key, task, ended, state)
