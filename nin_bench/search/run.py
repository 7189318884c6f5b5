"""The parent of a search: lock, check, hand trials to an executor, keep studies and their summaries."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any
from uuid import uuid4

from optuna.exceptions import OptunaError
from optuna.trial import Trial

from nin_bench.data import load_dataset
from nin_bench.environment import describe_environment, without_folders
from nin_bench.errors import InputError, ResultsError, SpecError
from nin_bench.executors import Ended, LocalExecutor, Slot, Started, Task, Told
from nin_bench.files import DamagedFileError, read_json, sole_writer, to_json, write_atomically
from nin_bench.grid import Grid, trial_variant
from nin_bench.plan import RegistryCatalog, check_networks
from nin_bench.results import ResultsFolder
from nin_bench.search.storage import open_storage, own_storage_url, storage_errors_told, storage_kind
from nin_bench.search.study import SCHEMA, Searcher, VariantStudy, study_name
from nin_bench.search.trial import TrialEpoch, TrialResult, run_trial_task
from nin_bench.session import PRELOAD, choose_slots, stop_on_signals
from nin_bench.worker import now

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
    params: dict[str, Any]
    device: str


@dataclass(frozen=True)
class TrialEpochEnded:
    """A trial's networks have passed once more over their images."""

    study: VariantStudy
    number: int
    news: TrialEpoch


@dataclass(frozen=True)
class TrialEnded:
    """A trial is over and the study knows."""

    study: VariantStudy
    number: int
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
    """
    catalog = RegistryCatalog(options.data_dir)
    # What is wrong with the input is found before the folder is made: a refused search leaves nothing behind.
    document = _describe(grid, options)
    _check(grid, catalog)
    _check_folder(folder, document)
    slots = choose_slots(options.device, options.workers)
    for spec in dict.fromkeys(variant.data for variant in grid.variants):
        load_dataset(spec, options.data_dir)
    url = options.storage or own_storage_url(folder.path)
    if options.storage:
        open_storage(options.storage)
    with sole_writer(folder.path), storage_errors_told(url):
        _check_folder(folder, document)  # again: another search may have held the folder meanwhile
        searcher = Searcher(uuid4().hex, shares=options.storage is not None)
        storage = open_storage(url)
        selected = {cell.variant_id for cell in grid.selected}
        studies = [
            VariantStudy(storage, grid, variant, catalog, searcher)
            for variant in grid.variants
            if variant.variant_id in selected
        ]
        write_atomically(search_path(folder), to_json(document))
        on_event(SearchPlanned(studies, slots))
        with _heard(studies) if searcher.shares else nullcontext():
            return _Search(folder, options, on_event, slots, studies).train()


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
        self.executor = LocalExecutor(slots, timeout_seconds=options.timeout_seconds, preload=PRELOAD)
        self.running: dict[str, _Running] = {}
        self.losses: Counter[tuple[str, int]] = Counter()

    def train(self) -> SearchSummary:
        summary = SearchSummary(self.studies)
        with stop_on_signals(self.executor, summary):
            while True:
                for study in self.studies:
                    study.recover()
                    self._keep(study)
                self._run()
                if self.executor.stopping or not any(study.num_elsewhere for study in self.studies):
                    break
                time.sleep(WAIT_SECONDS)
        return summary

    def _run(self) -> None:
        with closing(self.executor.run(self._next_task)) as events:
            for event in events:
                running = self.running[event.key]
                match event:
                    case Started():
                        trial = running.trial
                        self.on_event(TrialStarted(running.study, trial.number, trial.params, event.slot.device))
                    case Told():
                        self.on_event(TrialEpochEnded(running.study, running.trial.number, event.news))
                        self.executor.answer(event.key, running.study.report(running.trial, event.news))
                    case Ended():
                        self._finish(self.running.pop(event.key), event)

    def _next_task(self) -> Task | None:
        """A trial of the study that has the most to do, of those that wait for none."""
        busy = {running.study.name for running in self.running.values()}
        waiting = [study for study in self.studies if study.name not in busy]
        for study in sorted(waiting, key=lambda study: study.num_done):
            started, clock = now(), time.perf_counter()
            if trial := study.ask():
                key = f"{study.name} {trial.number}"
                self.running[key] = _Running(study, trial, started, clock)
                asks = study.spec.pruner != "none"
                arguments = (study.cells(trial), study.spec.objective, asks, self.options.data_dir)
                return Task(key, run_trial_task, arguments)
        return None

    def _finish(self, running: "_Running", end: Ended) -> None:
        study, trial = running.study, running.trial
        result = end.result if end.how == "returned" else TrialResult(error=self._why(end))
        told = {
            "overhead_seconds": time.perf_counter() - running.clock - result.device_seconds,
            "started_at": running.started_at,
            "finished_at": now(),
        }
        will_retry = False
        if result.error is None:
            study.finish(trial, result, told)
        else:
            draw = study.draw_of(trial.number)
            self.losses[study.name, draw] += 1
            will_retry = not self.executor.stopping and self.losses[study.name, draw] <= self.options.retries
            study.lose(trial, result, told, replace=will_retry)
        self._keep(study)
        self.on_event(TrialEnded(study, trial.number, result, will_retry))

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
    started_at: str
    clock: float


def search_path(folder: ResultsFolder) -> Path:
    """Where the search as resolved lies."""
    return folder.path / "search.json"


def study_path(folder: ResultsFolder, variant_id: str) -> Path:
    """Where the summary of a variant's study lies."""
    return folder.path / "studies" / f"{variant_id}.json"


def _describe(grid: Grid, options: SearchOptions) -> dict[str, Any]:
    """The search as resolved, for whoever reads its results."""
    if grid.search is None:
        raise InputError(f"{grid.name}: has no `search` section; add one with a space and a number of trials")
    run_epochs = {variant.variant_id: variant.recipe.epochs for variant in grid.variants}
    lengths = set(run_epochs.values())
    return {
        "schema": SCHEMA,
        "name": grid.name,
        "profile": grid.profile,
        "question": grid.question,
        "source": grid.source,
        "data": grid.data,
        "recipe": grid.recipe,
        "search": {
            **grid.search.as_plain(),
            "seeds": list(grid.search_seeds),
            "epochs": grid.search.epochs or (lengths.pop() if len(lengths) == 1 else None),
            "run_epochs": run_epochs,
            "direction": grid.search.direction,
        },
        "storage": storage_kind(options.storage) if options.storage else "sqlite",
        "variants": [{**variant.as_dict(), "study_name": study_name(grid, variant)} for variant in grid.variants],
        "environment": describe_environment(),
    }


def _check(grid: Grid, catalog: RegistryCatalog) -> None:
    """Whether validation images are there to choose by, and every network can be built at every corner."""
    assert grid.search is not None
    for variant in grid.variants:
        if variant.data.validation_size == 0:
            raise variant.refused(
                SpecError("validation_size", "0, but a search chooses by validation images; use more than 0")
            )
    tried = [
        trial_variant(variant, corner, grid.search, catalog)
        for corner in grid.search.corners()
        for variant in grid.variants
    ]
    check_networks([*grid.variants, *tried], catalog.data_dir)


def _check_folder(folder: ResultsFolder, document: dict[str, Any]) -> None:
    """Refuse to lay one search over another.

    Raises:
        ResultsError: the folder holds summaries of another search.
    """
    path = search_path(folder)
    try:
        earlier = read_json(path, SCHEMA)
    except FileNotFoundError:
        return
    except DamagedFileError as error:
        raise ResultsError(f"{path} {error}; remove it, and search again") from error
    changed = [
        part
        for part in ("name", "data", "recipe", "search")
        if _lasting(earlier, part) != _lasting(document, part)
    ]
    if changed:
        raise ResultsError(
            f"{folder.path}: holds another search (its {', '.join(changed)} differ); undo the change, or choose "
            "another folder with --results"
        )


def _lasting(document: dict[str, Any], part: str) -> Any:
    """What of a search must not change while it goes on: variants may come and go, and trials be added."""
    value, search = document.get(part), document["search"]
    if part == "recipe":
        return {key: one for key, one in value.items() if key not in search["space"]}
    if part == "search":
        passing = {"run_epochs", "epochs"} | (set() if search["sampler"] == "grid" else {"trials"})
        return {key: one for key, one in value.items() if key not in passing}
    return value


@contextmanager
def _heard(studies: Sequence[VariantStudy]) -> Iterator[None]:
    """While it is entered, other searches in the same storage know that this one is alive."""
    ended = Flag()

    def beat() -> None:
        while not ended.wait(BEAT_SECONDS):
            with suppress(ResultsError, OptunaError):  # the search itself will tell
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
