"""One variant's study: whose turn it is, what may be trained, what is told, and its summary as JSON.

Every trial is of a draw, numbered from 0. A trial that was lost (killed, crashed) is replaced by another of the
same draw, with the same values; and a trial trains only if its draw is among those asked for and no other replaced
the lost one before. So the total is exact, however many processes search in the same study.
"""

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import optuna
from optuna.distributions import FloatDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from nin_bench.cell import Cell, Scalar
from nin_bench.errors import ResultsError
from nin_bench.grid import Grid, SearchSpec, Variant
from nin_bench.grid.entries import Catalog
from nin_bench.grid.search import trial_variant
from nin_bench.results.studies import BestTrial, StudySummary, TrialSummary
from nin_bench.search.events import TrialEpoch, TrialResult
from nin_bench.search.samplers import distributions, make_pruner, make_sampler
from nin_bench.stats.tuning import choose_rate

logger = logging.getLogger(__name__)

GRACE_SECONDS = 90.0
"""A search that has not been heard of for so long is dead, and its trials are replaced."""

_STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


@dataclass
class Searcher:
    """A search under way, as studies know it."""

    token: str
    """A name of its own, so that other searches know whose a running trial is."""
    shares: bool
    """Whether others may search in the same storage meanwhile."""
    asked: set[tuple[str, int]] = field(default_factory=set)
    """Study's name and number of each trial that it has started."""


def draws_of(trials: Sequence[FrozenTrial]) -> dict[int, int]:
    """The draw of each trial, by their numbers; a replacement that came second has none."""
    draws: dict[int, int] = {}
    replaced = set()
    num_draws = 0
    for trial in sorted(trials, key=lambda trial: trial.number):
        lost = trial.user_attrs.get("replaces")
        if lost is None:
            draws[trial.number] = num_draws
            num_draws += 1
        elif lost in draws and lost not in replaced:
            replaced.add(lost)
            draws[trial.number] = draws[lost]
    return draws


class VariantStudy:
    """The study of one variant; ResultsError if the storage holds one of that name that asks something else."""

    def __init__(
        self, storage: BaseStorage, grid: Grid, variant: Variant, catalog: Catalog, searcher: Searcher
    ) -> None:
        assert grid.search is not None
        self.spec: SearchSpec = grid.search
        self.seeds = grid.search_seeds
        self.variant = variant
        self.catalog = catalog
        self.searcher = searcher
        self.name = study_name(grid, variant)
        self.given_up: set[int] = set()
        """Draws that this search has lost too often to try them again."""
        self.epochs = self.spec.epochs or variant.recipe.epochs
        self.space = distributions(self.spec)
        self.study: Study = optuna.create_study(
            storage=storage,
            study_name=self.name,
            direction=self.spec.direction,
            sampler=make_sampler(self.spec, self._draw_to_sample),
            pruner=make_pruner(self.spec, self.epochs),
            load_if_exists=True,
        )
        self._check_identity()

    @property
    def trials(self) -> list[FrozenTrial]:
        """All that the storage knows, by number."""
        return self.study.get_trials(deepcopy=False)

    @property
    def standing(self) -> list[FrozenTrial | None]:
        """For each draw that is asked for, its last trial."""
        return self._standing(self.trials)

    def _standing(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial | None]:
        last: dict[int, FrozenTrial] = {}
        draws = draws_of(trials)
        for trial in trials:
            if trial.number in draws:
                last[draws[trial.number]] = trial
        return [last.get(draw) for draw in range(self.spec.trials)]

    @property
    def num_done(self) -> int:
        """Draws that were trained to their end, or pruned."""
        return self.spec.trials - len(self.keys_left)

    @property
    def keys_left(self) -> list[str]:
        """The keys of the draws that need a trial."""
        done = (TrialState.COMPLETE, TrialState.PRUNED)
        return [self.key_of(draw) for draw, last in enumerate(self.standing) if (last and last.state) not in done]

    @property
    def keys_waiting(self) -> list[str]:
        """The keys of the draws of which no trial was begun, or that wait to be tried again."""
        states = [last and last.state for last in self.standing]
        return [self.key_of(draw) for draw, state in enumerate(states) if state in (None, TrialState.WAITING)]

    def key_of(self, draw: int) -> str:
        """A name of a draw's trials, of which one runs at a time."""
        return f"{self.name} {draw}"

    @property
    def num_elsewhere(self) -> int:
        """Draws that other searches are training."""
        return sum(
            trial is not None and trial.state is TrialState.RUNNING and not self._is_ours(trial)
            for trial in self.standing
        )

    def recover(self) -> None:
        """Mark the trials of dead searches as failed, and queue what replaces every lost trial."""
        for trial in self.trials:
            if trial.state is TrialState.RUNNING and self._is_stale(trial):
                with suppress(UpdateFinishedTrialError):  # another search was faster
                    self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        for draw, last in enumerate(self.standing):
            if last is not None and last.state is TrialState.FAIL and draw not in self.given_up:
                self.replace(last)

    def ask(self) -> Trial | None:
        """The next trial to train; None while there is none."""
        while self.keys_waiting:
            trial = self.study.ask(self.space)
            self.searcher.asked.add((self.name, trial.number))
            draw = draws_of(self.trials).get(trial.number)
            if draw is not None and draw < self.spec.trials:
                if self.searcher.shares:
                    trial.set_user_attr("searcher", self.searcher.token)
                return trial
            trial.set_user_attr("surplus", True)
            self.study.tell(trial, state=TrialState.FAIL)
        return None

    def cells(self, trial: Trial) -> list[Cell]:
        """What a trial trains: the variant with the trial's values, for each of the search's seeds."""
        tried = trial_variant(self.variant, trial.params, self.spec, self.catalog)
        return [tried.cell(seed) for seed in self.seeds]

    def decides(self, epoch: int) -> bool:
        """Whether a trial waits after this epoch for the word to go on."""
        return self.spec.pruner != "none" and epoch < self.epochs

    def report(self, trial: Trial, epoch: TrialEpoch) -> bool:
        """Keep an epoch's value, unless the trial reached it before its node was lost; whether it should go on."""
        with self._unless_given_up(trial):
            if epoch.epoch not in self.trials[trial.number].intermediate_values:
                trial.report(epoch.value, epoch.epoch)
        return not (self.decides(epoch.epoch) and trial.should_prune())

    def finish(self, trial: Trial, result: TrialResult, told: Mapping[str, Any]) -> None:
        """Tell what came of a trial that ran to its end, was pruned, or broke off."""
        done = TrialState.PRUNED if result.pruned else TrialState.COMPLETE
        with self._unless_given_up(trial):
            trial.set_user_attr("result", {**_kept(result), **told})
            self.study.tell(trial, result.value, TrialState.FAIL if result.error else done)

    def replace(self, trial: Trial | FrozenTrial) -> None:
        """Queue another trial in the place of one that failed."""
        self.study.enqueue_trial(trial.params, user_attrs={"replaces": trial.number})

    def beat(self) -> None:
        """Let other searches know that this one is alive."""
        self.study.set_user_attr(_beat_of(self.searcher.token), time.time())

    @property
    def ended(self) -> list[FrozenTrial]:
        """All trials that were begun and are over, those of draws that are no longer asked for among them."""
        return self._ended(self.trials)

    def _ended(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        begun = (trial for trial in trials if self.space.keys() <= trial.params.keys())
        return [trial for trial in begun if trial.state in _STATES and "surplus" not in trial.user_attrs]

    def summary(self) -> StudySummary:
        """The trials that ended, of the draws that are asked for, and the best."""
        known = self.trials  # once, since other searches may end trials meanwhile
        draws = draws_of(known)
        trials = [one for one in self._ended(known) if draws.get(one.number, self.spec.trials) < self.spec.trials]
        standing = self._standing(known)
        return StudySummary(
            variant_id=self.variant.variant_id,
            label=self.variant.label,
            study_name=self.name,
            trials=tuple(_summary_of(trial) for trial in trials),
            best=self._best(standing),
            chosen=self._chosen(standing),
        )

    def _best(self, standing: Sequence[FrozenTrial | None]) -> BestTrial | None:
        """The best of the trials that were asked for and trained to their end; None if there is none."""
        if not (complete := _in_state(standing, TrialState.COMPLETE)):
            return None
        best = max(complete, key=lambda trial: (self._goodness(trial), -trial.number))
        return BestTrial(number=best.number, params=best.params, value=best.value)

    def _chosen(self, standing: Sequence[FrozenTrial | None]) -> dict[str, Scalar] | None:
        """The values to train with: of a grid of rates the top of their curve, else those of the best trial."""
        best, complete = self._best(standing), _in_state(standing, TrialState.COMPLETE)
        if best is None:
            return None
        rates = self.space.get("lr") if self.spec.sampler == "grid" and len(self.space) == 1 else None
        if not isinstance(rates, FloatDistribution):
            return best.params
        # A trial that was pruned at chance level marks the cliff as well as one that was trained to its end.
        pruned = [one for one in _in_state(standing, TrialState.PRUNED) if _has_failed(one)]
        rate = choose_rate(
            [trial.params["lr"] for trial in (*complete, *pruned)],
            [*(self._goodness(trial) for trial in complete), *[-math.inf] * len(pruned)],
            [*(_has_failed(trial) for trial in complete), *[True] * len(pruned)],
        )
        return {"lr": float(f"{rate:.3g}")}

    def _goodness(self, trial: FrozenTrial) -> float:
        """The trial's value, turned so that higher is better."""
        return (trial.value or 0.0) * (1 if self.spec.direction == "maximize" else -1)

    def draw_of(self, number: int) -> int:
        """The draw that a trial is of."""
        return draws_of(self.trials)[number]

    def _draw_to_sample(self, number: int) -> int:
        """The draw whose values a trial is given; any, of a replacement that will not be trained."""
        return draws_of(self.trials).get(number, 0)

    def _is_ours(self, trial: FrozenTrial) -> bool:
        return (self.name, trial.number) in self.searcher.asked

    def _is_stale(self, trial: FrozenTrial) -> bool:
        if self._is_ours(trial):
            return False
        if not self.searcher.shares:  # the folder's lock is ours, so whoever started it is gone
            return True
        beat = self.study.user_attrs.get(_beat_of(trial.user_attrs.get("searcher")))
        if beat is None:
            beat = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
        return time.time() - float(beat) > GRACE_SECONDS

    @contextmanager
    def _unless_given_up(self, trial: Trial) -> Iterator[None]:
        """While it is entered, a trial that another search has marked as failed meanwhile is told to nobody."""
        try:
            yield
        except (UpdateFinishedTrialError, ValueError):
            if self.trials[trial.number].state is not TrialState.FAIL:
                raise
            logger.warning("%s trial %d: another search took it for dead and replaced it", self.name, trial.number)

    def _check_identity(self) -> None:
        known = self.study.user_attrs.get("search")
        asked = self._identity()
        if known is None and not self.trials:
            self.study.set_user_attr("search", asked)
        elif known != asked:
            differs = [key for key in asked if (known or {}).get(key) != asked[key]]
            raise ResultsError(
                f"a study of {self.variant.label!r} is there already, of another search "
                f"(other {', '.join(differs)}); choose another --storage or --results, or rename the grid"
            )

    def _identity(self) -> dict[str, Any]:
        """What makes two studies of one variant the same; the variant's id is in their name."""
        spec = self.spec.model_dump(mode="json")
        if self.spec.sampler != "grid":  # whose points depend on how many there are
            del spec["trials"]
        return {**spec, "seeds": list(self.seeds), "epochs": self.epochs}


def _in_state(standing: Sequence[FrozenTrial | None], state: TrialState) -> list[FrozenTrial]:
    return [last for last in standing if last is not None and last.state is state]


def study_name(grid: Grid, variant: Variant) -> str:
    """How a storage knows a variant's study."""
    return f"{grid.name}/{grid.profile}/{variant.variant_id}"


def _has_failed(trial: FrozenTrial) -> bool:
    """Whether some network of a trial failed; of one that was pruned, whether it was still at chance level."""
    runs = trial.user_attrs.get("result", {}).get("runs", [])
    if trial.state is TrialState.PRUNED:
        return any(run.get("failed") or run.get("escaped") is False for run in runs)
    return any(run["failed"] for run in runs)


def _beat_of(token: str | None) -> str:
    return f"searcher:{token}"


def _kept(result: TrialResult) -> dict[str, Any]:
    kept = asdict(result)
    del kept["value"], kept["pruned"]
    return {"diverged": result.diverged, "escaped": result.escaped, **kept}


def _summary_of(trial: FrozenTrial) -> TrialSummary:
    # A search that dies can tell nothing of its trial; the next one only marks it as failed.
    result = trial.user_attrs.get("result") or _kept(TrialResult(error="its search ended before it did"))
    return TrialSummary.model_validate({
        "number": trial.number,
        "state": _STATES[trial.state],
        "params": trial.params,
        "value": None if trial.state is TrialState.FAIL else trial.value,
        **result,
    })  # fmt: skip
