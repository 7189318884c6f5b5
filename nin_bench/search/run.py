"""The parent of a search: lock, check, hand trials to an executor, keep studies and their summaries."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any
from uuid import uuid4

from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage
from optuna.trial import Trial
from sqlalchemy.exc import SQLAlchemyError

from nin_bench.data import load_dataset
from nin_bench.environment import without_folders
from nin_bench.errors import ResultsError
from nin_bench.executors import Ended, LocalExecutor, Message, Slot, Started, Task
from nin_bench.files import to_json, write_atomically
from nin_bench.grid import Grid
from nin_bench.plan import RegistryCatalog
from nin_bench.results import ResultsFolder
from nin_bench.results.folder_lock import sole_writer
from nin_bench.runner.record import now
from nin_bench.runner.session import PRELOAD, choose_slots, stop_on_signals
from nin_bench.search.folder import num_done, read_study, study_path
from nin_bench.search.question import check_folder, keep_search, load_search
from nin_bench.search.storage import open_storage, own_storage, own_storage_url, storage_errors_told
from nin_bench.search.study import Searcher, VariantStudy
from nin_bench.search.trial import TrialEpoch, TrialResult, run_trial_task
from nin_bench.training.trainer import Chance

BEAT_SECONDS = 15.0
"""How often a search that shares its storage says that it is alive."""
WAIT_SECONDS = 1.0
"""How often one that has nothing left to do looks whether the others are done."""


@dataclass(frozen=True)
class SearchOptions:
    """How a grid is searched; nothing here can change a result."""

    data_dir: Path | None = None
    device: str = "auto"
    workers: int | None = None
    """Processes on a CPU; None is one per core. An accelerator takes one per device."""
    timeout_seconds: float | None = None
    """For one trial."""
    retries: int = 1
    """Further tries, in this search, of a trial that was lost."""
    storage: str | None = None
    """An address that Optuna takes; None is a file in the results folder."""


@dataclass(frozen=True)
class SearchPlanned:
    """The search knows what it has to do."""

    studies: Sequence[VariantStudy]
    slots: Sequence[Slot]


@dataclass(frozen=True)
class TrialStarted:
    """A trial has its process."""

    study: VariantStudy
    number: int
    draw: int
    params: dict[str, Any]
    device: str


@dataclass(frozen=True)
class TrialEpochEnded:
    """A trial's networks have passed once more over their images."""

    study: VariantStudy
    number: int
    draw: int
    content: TrialEpoch


@dataclass(frozen=True)
class TrialEnded:
    """A trial is over and the study knows."""

    study: VariantStudy
    number: int
    draw: int
    result: TrialResult
    will_retry: bool


SearchEvent = SearchPlanned | TrialStarted | TrialEpochEnded | TrialEnded


@dataclass
class SearchSummary:
    """What came of a search."""

    studies: Sequence[VariantStudy] = ()
    signal_number: int | None = None
    """The signal that ended it early."""


def search_grid(
    grid: Grid, folder: ResultsFolder, options: SearchOptions, on_event: Callable[[SearchEvent], None]
) -> SearchSummary:
    """Train the trials that the selected variants' studies lack, and keep a summary of every study.

    Args:
        grid: what to search.
        folder: where summaries go, and studies where no storage is named; held under a lock meanwhile.
        options: how to search.
        on_event: is told what happens.

    Raises:
        InputError: the grid has no search, or one that cannot be carried out.
        ResultsError: folder or storage cannot be used, or hold another search.

    Where the folder's own storage is gone, and its summaries hold all trials that are asked for, only search.json
    is written, and no studies are returned: what ships has none.
    """
    catalog = RegistryCatalog(options.data_dir)
    # What is wrong with the input is found before the folder is made: a refused search leaves nothing behind.
    document = load_search(grid, folder, catalog, options.storage)
    slots = choose_slots(options.device, options.workers)
    (spec,) = {variant.data for variant in grid.variants}  # several are refused
    document["chance_loss"] = Chance.of(load_dataset(spec, options.data_dir).labels).loss
    shared = open_storage(options.storage) if options.storage else None
    url = options.storage or own_storage_url(folder.path)
    selected = {cell.variant_id for cell in grid.selected}
    searcher = Searcher(uuid4().hex, shares=shared is not None)

    def studies_in(storage: BaseStorage) -> list[VariantStudy]:
        searched = (variant for variant in grid.variants if variant.variant_id in selected)
        return [VariantStudy(storage, grid, variant, catalog, searcher) for variant in searched]

    with storage_errors_told(url), ExitStack() as entered:
        # What others share is no part of the folder: a study of theirs that refuses is met before it is made too.
        studies = studies_in(shared) if shared else None
        entered.enter_context(sole_writer(folder.path))
        check_folder(folder, document)  # again: another search may have held the folder meanwhile
        if studies is None and not own_storage(folder.path).exists() and _is_done(grid, folder, selected):
            keep_search(folder, document, trains=False)
            return SearchSummary()
        if studies is None:
            studies = studies_in(open_storage(url))
        for study in studies:
            _check_known(folder, study)
        keep_search(folder, document, trains=any(study.num_done < study.spec.trials for study in studies))
        on_event(SearchPlanned(studies, slots))
        with _heard(studies) if searcher.shares else nullcontext():
            return _Search(folder, options, on_event, slots, studies).train()


def _is_done(grid: Grid, folder: ResultsFolder, variant_ids: Collection[str]) -> bool:
    """Whether the folder's summaries hold every trial that is asked for."""
    assert grid.search is not None
    return all(num_done(read_study(folder, key)) == grid.search.trials for key in variant_ids)


def _check_known(folder: ResultsFolder, study: VariantStudy) -> None:
    """Refuse to write a study's summary over one of trials that the storage does not know.

    Raises:
        ResultsError: the folder's summary holds more trials, as where the storage was removed, or is another one.
    """
    kept = read_study(folder, study.variant.variant_id)
    num_kept = len(kept["trials"]) if kept else 0
    num_known = len(study.ended)
    if num_kept > num_known:
        raise ResultsError(
            f"{folder.path}: holds {num_kept} trials of {study.name!r}, of which the storage knows {num_known}; "
            "give the --storage that they were searched in, or another --results"
        )


class _Search:
    """One search under way."""

    def __init__(
        self,
        folder: ResultsFolder,
        options: SearchOptions,
        on_event: Callable[[SearchEvent], None],
        slots: Sequence[Slot],
        studies: Sequence[VariantStudy],
    ) -> None:
        self.folder = folder
        self.options = options
        self.on_event = on_event
        self.studies = studies
        preload = ("nin_bench.search.trial", *PRELOAD)
        self.executor = LocalExecutor(slots, preload)
        self.running: dict[str, _Running] = {}
        self.losses: Counter[tuple[str, int]] = Counter()

    def train(self) -> SearchSummary:
        summary = SearchSummary(self.studies)
        with stop_on_signals(self.executor, summary):
            while True:
                for study in self.studies:
                    study.recover(self._given_up(study))
                    self._keep(study)
                self._run()
                if self.executor.stopping or not any(study.num_elsewhere for study in self.studies):
                    break
                time.sleep(WAIT_SECONDS)
        for study in self.studies:  # others may have ended trials since
            self._keep(study)
        return summary

    def _run(self) -> None:
        with closing(self.executor.run(self._next_task)) as events:
            for event in events:
                running = self.running[event.key]
                match event:
                    case Started():
                        params, device = running.trial.params, event.slot.device
                        self.on_event(TrialStarted(*running.place, params, device))
                    case Message():
                        self.on_event(TrialEpochEnded(*running.place, event.content))
                        goes_on = running.study.report(running.trial, event.content)
                        if running.study.decides(event.content.epoch):
                            self.executor.answer(event.key, goes_on)
                    case Ended():
                        self._finish(self.running.pop(event.key), event)

    def _next_task(self, slot: Slot) -> Task | None:
        """A trial of the study that has the most to do, of those that wait for none."""
        busy = {running.study.name for running in self.running.values()}
        waiting = [study for study in self.studies if study.name not in busy]
        for study in sorted(waiting, key=lambda study: study.num_done):
            started, clock = now(), time.perf_counter()
            if trial := study.ask():
                key = f"{study.name} {trial.number}"
                self.running[key] = _Running(study, trial, study.draw_of(trial.number), started, clock)
                arguments = (study.cells(trial), study.spec.objective, study.decides(0), self.options.data_dir)
                return Task(key, run_trial_task, arguments, self.options.timeout_seconds)
        return None

    def _finish(self, running: "_Running", end: Ended) -> None:
        study, trial = running.study, running.trial
        result = end.result if end.how == "returned" else TrialResult(error=self._why(end))
        wall_seconds, trained_seconds = time.perf_counter() - running.clock, result.device_seconds
        told = {
            "overhead_seconds": None if trained_seconds is None else wall_seconds - trained_seconds,
            "started_at": running.started_at,
            "finished_at": now(),
        }
        study.finish(trial, result, told)
        will_retry = False
        if result.error is not None:
            self.losses[study.name, running.draw] += 1
            will_retry = not self.executor.stopping and running.draw not in self._given_up(study)
            if will_retry:
                study.replace(trial)
        self._keep(study)
        self.on_event(TrialEnded(*running.place, result, will_retry))

    def _given_up(self, study: VariantStudy) -> set[int]:
        """The draws of a study that this search has lost too often."""
        most = self.options.retries
        return {draw for (name, draw), count in self.losses.items() if name == study.name and count > most}

    def _why(self, end: Ended) -> str:
        if end.how == "timed_out":
            return f"took longer than the limit of {self.options.timeout_seconds:g} s"
        if end.how == "killed":
            return "killed, since the search had to stop at once"
        return without_folders(end.cause.splitlines()[0])

    def _keep(self, study: VariantStudy) -> None:
        write_atomically(study_path(self.folder, study.variant.variant_id), to_json(study.summary()))


@dataclass(frozen=True)
class _Running:
    study: VariantStudy
    trial: Trial
    draw: int
    started_at: str
    clock: float

    @property
    def place(self) -> tuple[VariantStudy, int, int]:
        """Study, number and draw, as events tell them."""
        return self.study, self.trial.number, self.draw


@contextmanager
def _heard(studies: Sequence[VariantStudy]) -> Iterator[None]:
    """While it is entered, other searches in the same storage know that this one is alive."""
    ended = Flag()

    def beat() -> None:
        while not ended.wait(BEAT_SECONDS):
            with suppress(OptunaError, SQLAlchemyError):  # the search itself will tell
                for study in studies:
                    study.beat()

    for study in studies:
        study.beat()
    thread = Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
