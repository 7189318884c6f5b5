"""The parent of a search: hold the folder, have trials trained, and keep studies and their summaries."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from threading import Event as Flag
from threading import Thread
from uuid import uuid4

from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage
from optuna.trial import Trial
from sqlalchemy.exc import SQLAlchemyError

from nin_bench.catalog import RegistryCatalog
from nin_bench.cell import DataSpec
from nin_bench.environment import without_folders
from nin_bench.errors import ResultsError
from nin_bench.executors import Ended, Executor, Slot, Task
from nin_bench.failures import AlikeFailures, VariantStopped
from nin_bench.grid import Grid
from nin_bench.results import ResultsFolder
from nin_bench.results.folder_lock import sole_writer
from nin_bench.results.studies import find_study
from nin_bench.runner.budget import EndedEarly, stopped_at
from nin_bench.runner.nodes import Nodes
from nin_bench.runner.record import now
from nin_bench.runner.scheduler import Scheduler, describe_end
from nin_bench.runner.session import PRELOAD, ProcessOptions, opened_executor, stop_on_signals
from nin_bench.search.config import check_folder, keep_search, load_search
from nin_bench.search.events import (
    SearchEvent,
    SearchPlanned,
    TrialEnded,
    TrialEpoch,
    TrialEpochEnded,
    TrialResult,
    TrialStarted,
)
from nin_bench.search.storage import open_storage, own_storage, own_storage_url, storage_errors_told
from nin_bench.search.study import Searcher, VariantStudy
from nin_bench.search.trial import run_trial_task

BEAT_SECONDS = 15.0
"""How often a search that shares its storage says that it is alive."""
WAIT_SECONDS = 1.0
"""How often one that has nothing left to do looks whether the others are done."""


@dataclass(frozen=True)
class SearchOptions(ProcessOptions):
    """How a grid is searched; nothing here can change a result."""

    retries: int = 1
    storage: str | None = None
    """An address that Optuna takes; None is a file in the results folder."""


@dataclass
class SearchSummary(EndedEarly):
    """What came of a search."""

    studies: Sequence[VariantStudy] = ()


def search_grid(
    grid: Grid, folder: ResultsFolder, options: SearchOptions, on_event: Callable[[SearchEvent], None]
) -> SearchSummary:
    """Train the trials that the selected variants' studies lack, and keep a summary of every study.

    The folder is held under a lock meanwhile. A study whose summary holds all trials that are asked for needs no
    storage, as what ships has none: the others are searched, so that a grid can grow. Where nothing is left, only
    search.json is written, and no studies are returned.

    Raises:
        InputError: the grid has no search, or one that cannot be carried out.
        ResultsError: folder or storage cannot be used, or hold another search.
    """
    catalog = RegistryCatalog(options.data_dir)
    # What is wrong with the input is found before the folder is made: a refused search leaves nothing behind.
    config = load_search(grid, folder, catalog, options.storage)
    shared = open_storage(options.storage) if options.storage else None
    url = options.storage or own_storage_url(folder.path)
    selected = {cell.variant_id for cell in grid.selected}
    searcher = Searcher(uuid4().hex, shares=shared is not None)

    def studies_in(storage: BaseStorage) -> list[VariantStudy]:
        searched = (variant for variant in grid.variants if variant.variant_id in selected)
        return [VariantStudy(storage, grid, variant, catalog, searcher) for variant in searched]

    with storage_errors_told(url), ExitStack() as entered:
        preload = ("nin_bench.search.trial", *PRELOAD)
        executor = entered.enter_context(opened_executor(options, preload))
        # What others share is no part of the folder: a study of theirs that refuses is met before it is made too.
        studies = studies_in(shared) if shared else None
        specs: list[DataSpec] = []  # a trial here says itself what is wrong with its data
        if options.ray_address is not None:
            specs += dict.fromkeys(variant.data for variant in grid.variants if variant.variant_id in selected)
        nodes = Nodes(executor, specs, options.data_dir, reads_test=False)
        entered.enter_context(sole_writer(folder.path))
        check_folder(folder, config)  # again: another search may have held the folder meanwhile
        if studies is None and not own_storage(folder.path).exists():
            selected = {key for key in selected if not _is_done(grid, folder, key)}
            for key in selected:
                _check_known(folder, key, num_known=0)
        if studies is None and selected:
            studies = studies_in(open_storage(url))
        # Those of which the storage knows no trial, though all are done, were searched in another one.
        studies = [
            study for study in studies or () if study.ended or not _is_done(grid, folder, study.variant.variant_id)
        ]
        for study in studies:
            _check_known(folder, study.variant.variant_id, len(study.ended))
        if not studies:
            keep_search(folder, config, trains=False)
            return SearchSummary()
        keep_search(folder, config, trains=any(study.num_done < study.spec.trials for study in studies))
        left = {key: study.epochs for study in studies for key in study.keys_left}
        labels = [study.variant.label for study in studies]
        num_trials = sum(study.spec.trials for study in studies)
        on_event(SearchPlanned(studies[0].spec, num_trials, left, labels, nodes.slots))
        with _heartbeat(studies) if searcher.shares else nullcontext():
            return _Search(folder, options, on_event, studies).train(executor, nodes)


def _is_done(grid: Grid, folder: ResultsFolder, variant_id: str) -> bool:
    """Whether the summary of a variant's study holds every trial that is asked for."""
    assert grid.search is not None
    study = find_study(folder, variant_id)
    return study is not None and study.num_done == grid.search.trials


def _check_known(folder: ResultsFolder, variant_id: str, num_known: int) -> None:
    """Refuse to write a study's summary over one of trials that the storage does not know."""
    kept = find_study(folder, variant_id)
    if kept is not None and len(kept.trials) > num_known:
        raise ResultsError(
            f"{folder.path}: holds {len(kept.trials)} trials of {kept.label!r}, of which the storage knows "
            f"{num_known}; give the --storage that they were searched in, or another --results"
        )


@dataclass
class _Search:
    """A search that is being carried out: whose trial is next, and what is kept of it."""

    folder: ResultsFolder
    options: SearchOptions
    on_event: Callable[[SearchEvent], None]
    studies: Sequence[VariantStudy]
    busy: set[str] = field(default_factory=set)
    """Names of the studies that have a trial in a worker; a study is sequential."""

    def __post_init__(self) -> None:
        self.failures = AlikeFailures(self.options.max_failures)

    def train(self, executor: Executor, nodes: Nodes) -> SearchSummary:
        """Train what is left, wait for other searches in these studies, and replace what they lose."""
        summary = SearchSummary(self.studies)
        scheduler = Scheduler(executor, retries=self.options.retries, admit=nodes.admit)
        with stop_on_signals(executor, summary), stopped_at(self.options.ends_at, executor, summary):
            while True:
                for study in self.studies:
                    study.recover()
                    self.keep(study)
                scheduler.run(self.next_job)
                if executor.stopping or not any(study.num_elsewhere for study in self.studies):
                    break
                time.sleep(WAIT_SECONDS)
        for study in self.studies:  # others may have ended trials since
            self.keep(study)
        return summary

    def next_job(self, slot: Slot) -> "_ActiveTrial | None":
        """A trial of the study that has the most to do, of those that have none in a worker and go on."""
        idle = [study for study in self.studies if study.name not in self.busy | self.failures.stopped]
        for study in sorted(idle, key=lambda study: study.num_done):
            if trial := study.ask():
                self.busy.add(study.name)
                return _ActiveTrial(self, study, trial, study.draw_of(trial.number))
        return None

    def keep(self, study: VariantStudy) -> None:
        """Write the summary of a study."""
        study.summary().write(self.folder.study_path(study.variant.variant_id))


@dataclass
class _ActiveTrial:
    """A trial that is handed to a worker; a `Job`."""

    search: _Search
    study: VariantStudy
    trial: Trial
    draw: int
    started_at: str = field(default_factory=now)
    started_seconds: float = field(default_factory=time.perf_counter)

    @property
    def key(self) -> str:
        return self.study.key_of(self.draw)

    def task(self) -> Task:
        study, options = self.study, self.search.options
        arguments = (study.cells(self.trial), study.spec.objective, study.decides(0), options.data_dir)
        return Task(self.key, run_trial_task, arguments, options.timeout_seconds)

    def on_started(self, slot: Slot) -> None:
        trial, label = self.trial, self.study.variant.label
        values = ", ".join(f"{name}={value}" for name, value in trial.params.items())
        cells = [cell.model_copy(update={"label": f"{label}, {values}"}) for cell in self.study.cells(trial)]
        self.search.on_event(TrialStarted(self.key, label, trial.number, trial.params, slot, cells))

    def on_message(self, epoch: TrialEpoch) -> bool | None:
        """Keep an epoch's value; whether to go on, where a pruner decides that."""
        self.search.on_event(TrialEpochEnded(self.key, epoch))
        goes_on = self.study.report(self.trial, epoch)
        return goes_on if self.study.decides(epoch.epoch) else None

    def on_ended(self, end: Ended, *, may_retry: bool) -> None:
        """Tell the study, and queue what replaces a trial that was lost."""
        study = self.study
        result = end.result if end.how == "returned" else TrialResult(error=self._error(end))
        wall_seconds, trained_seconds = time.perf_counter() - self.started_seconds, result.device_seconds
        times = {
            "overhead_seconds": None if trained_seconds is None else wall_seconds - trained_seconds,
            "started_at": self.started_at,
            "finished_at": now(),
        }
        study.finish(self.trial, result, times)
        goes_on = self._notes_failure(result.error)
        will_retry = result.error is not None and may_retry and goes_on
        if will_retry:
            study.replace(self.trial)
        elif result.error is not None:
            study.given_up.add(self.draw)
        self.search.busy.discard(study.name)
        self.search.keep(study)
        self.search.on_event(TrialEnded(self.key, result, will_retry))

    def _notes_failure(self, error: str | None) -> bool:
        """Count a trial that was lost; whether its study goes on."""
        failures, name = self.search.failures, self.study.name
        if error is None:
            failures.forget(name)
        elif failures.add(name, "lost", error):
            untried = self.study.keys_waiting
            self.search.on_event(VariantStopped(self.study.variant.label, error, untried))
        return name not in failures.stopped

    def _error(self, end: Ended) -> str:
        _, error = describe_end(end, self.search.options.timeout_seconds)
        return without_folders(error.splitlines()[0])


@contextmanager
def _heartbeat(studies: Sequence[VariantStudy]) -> Iterator[None]:
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
