"""Train several cells of one variant as one batched model, in whatever process this is called."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

from nin_bench.errors import ResultsError
from nin_bench.executors import Channel, Slot
from nin_bench.runner.messages import Assignment, CellFiles, CellMessage, CellResult, FilesWanted
from nin_bench.runner.worker import CellRun, carried_out_at, prepare_process
from nin_bench.training.batched import BatchedTrainers, CannotBatchError

Send = Callable[[tuple[str, CellMessage]], None]
"""Is told a cell's id and what happens to it."""


def run_batch_task(
    channel: Channel, slot: Slot, assignments: Sequence[Assignment]
) -> list[CellResult] | ResultsError:
    """Train the cells together, as an executor's task; what came of each, or what kept one from being stored."""
    prepare_process(slot)
    try:
        with ExitStack() as entered:
            here = [
                entered.enter_context(carried_out_at(slot, one, partial(_ask, channel, one.cell.cell_id)))
                for one in assignments
            ]
            return run_batch(here, slot.device, channel.send, channel.should_stop)
    except ResultsError as refusal:
        return refusal


def _ask(channel: Channel, cell_id: str, wanted: FilesWanted) -> CellFiles | None:
    answer: CellFiles | None = channel.ask((cell_id, wanted))
    return answer


def run_batch(
    assignments: Sequence[Assignment], device: str, send: Send, should_stop: Callable[[], bool]
) -> list[CellResult]:
    """Train cells of one variant to their end; what cannot be batched is trained one by one.

    Whatever goes wrong with a cell is its record's outcome; where the step of all fails, it is the outcome of all.

    Raises:
        ResultsError: a checkpoint or the weights cannot be stored.
    """
    runs = [CellRun(one, device, partial(_send, send, one.cell.cell_id), should_stop) for one in assignments]
    ready: list[CellRun] = []
    for run in runs:
        with run.training.failures_noted():
            run.begin(like=ready[0].training if ready else None)
            ready.append(run)
    _train_together(ready, should_stop)
    return [run.go_on() for run in runs]


def _train_together(runs: Sequence[CellRun], should_stop: Callable[[], bool]) -> None:
    """Train epochs while there are several networks; whoever is left after that goes on alone."""
    live = list(runs)
    while len(live) > 1 and all(run.training.epochs_left for run in live):
        try:
            batch = BatchedTrainers([run.training.trainer for run in live])
        except CannotBatchError:
            return
        for run in live:
            run.batched_seeds = max(len(live), run.batched_seeds or 0)
        while len(live) == len(batch.trainers) and live[0].training.epochs_left:
            failure = _train_epoch(batch, live, should_stop)
            for run in live:
                with run.training.failures_noted():
                    if error := failure or batch.diverged.get(run.training.trainer):
                        raise error
                    run.note_epoch(run.training.end_epoch())
            live = [run for run in live if run.training.outcome == "trained"]


def _train_epoch(
    batch: BatchedTrainers, runs: Sequence[CellRun], should_stop: Callable[[], bool]
) -> Exception | None:
    """Train an epoch's steps; what kept all networks from them, if something did."""

    def save() -> None:
        if any(run.has_to_save(run.policy.seconds) for run in runs):
            batch.hand_back()
            for run in runs:
                if run.training.trainer not in batch.diverged:
                    run.save()

    try:
        batch.run_epoch(should_stop, after_step=save)
    except ResultsError:
        raise
    except Exception as failure:
        return failure
    return None


def _send(send: Send, cell_id: str, message: CellMessage) -> None:
    send((cell_id, message))
