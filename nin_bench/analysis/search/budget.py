"""What every variant's trials took, and what fewer of them would have found."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from nin_bench.analysis.search.rates import NEAR
from nin_bench.analysis.search.studies import Search, Study
from nin_bench.results.studies import SearchSettings


@dataclass(frozen=True)
class Overhead:
    """Wall time of a trial beyond training and evaluating."""

    median_seconds: float
    max_seconds: float
    n: int


@dataclass(frozen=True)
class Budget:
    """What one study took, and how soon it found what it found."""

    variant_id: str
    name: str
    asked: int
    """Trials."""
    complete: int
    pruned: int
    failed: int
    """Killed or crashed; each is replaced by another with the same parameters."""
    diverged: int
    """Complete trials of which some seed's loss became infinite."""
    at_chance: int
    """Other complete trials of which some seed ended at chance level, whether or not it had ever left it."""
    epochs: int
    """Over all seeds of all trials, as far as they could tell."""
    device_seconds: float
    """Seconds of training and evaluating, over all seeds of all trials, as far as they could tell."""
    num_unknown: int
    """Trials that died before they could tell either."""
    overhead: Overhead | None
    best_so_far: list[float | None]
    """The objective after each trial that counts, in the order they were started; None before a seed of one has
    learned."""
    expected_best: list[float]
    """The objective of the best of k trials drawn at random from those that ran to their end, for k = 1, 2, …"""
    trials_needed: int | None
    """The smallest k whose expected best accuracy lies within `NEAR` of the best; None where none
    learned, where some were pruned, and for another objective."""


def budgets(search: Search) -> list[Budget]:
    """What each study took, in the grid's order."""
    return [_budget(search.settings, study) for study in search.studies]


def _budget(settings: SearchSettings, study: Study) -> Budget:
    diverged = [trial for trial in study.complete if trial.diverged]
    known = [trial.device_seconds for trial in study.trials if trial.device_seconds is not None]
    overheads = [trial.overhead_seconds for trial in study.counted if trial.overhead_seconds is not None]
    so_far = _best_so_far(study, settings)
    pruned = sum(trial.state == "pruned" for trial in study.trials)
    expected = expected_best([trial.value or 0.0 for trial in study.complete], settings.higher_is_better)
    in_points = settings.in_points and so_far[-1:] not in ([], [None]) and not pruned
    return Budget(
        variant_id=study.variant_id,
        name=study.name,
        asked=settings.trials,
        complete=len(study.complete),
        pruned=pruned,
        failed=sum(trial.state == "failed" for trial in study.trials),
        diverged=len(diverged),
        at_chance=sum(trial.ended_at_chance for trial in study.complete),
        epochs=sum(trial.epochs or 0 for trial in study.trials),
        device_seconds=math.fsum(known),
        num_unknown=len(study.trials) - len(known),
        overhead=Overhead(statistics.median(overheads), max(overheads), len(overheads)) if overheads else None,
        best_so_far=so_far,
        expected_best=expected,
        trials_needed=next(
            (k for k, value in enumerate(expected, start=1) if in_points and value >= expected[-1] - NEAR), None
        ),
    )


def expected_best(scores: Sequence[float], higher_is_better: bool) -> list[float]:
    """The expected best of k of n scores, for k from 1 to n.

    Exact for draws without replacement: Σ v(i) · C(i − 1, k − 1) / C(n, k) over the scores, worst first.
    Source: Tang et al., Showing Your Work Doesn't Always Work, ACL 2020; Dodge et al., Show Your Work, EMNLP 2019,
    draw with replacement, which is biased low.

    Returns:
        n numbers.
    """
    best_first = sorted(scores, reverse=higher_is_better)
    return [_expected_best_of(k, best_first) for k in range(1, len(scores) + 1)]


def _expected_best_of(k: int, best_first: Sequence[float]) -> float:
    n = len(best_first)
    terms = []
    chance = k / n  # that the best of all is drawn
    for place, score in enumerate(best_first, start=1):
        terms.append(chance * score)
        # the next one is the best drawn if it is drawn and all before it are not
        chance *= (n - place - k + 1) / (n - place) if place < n else 0
    return math.fsum(terms)


def _best_so_far(study: Study, settings: SearchSettings) -> list[float | None]:
    best: float | None = None
    found: list[float | None] = []
    better = max if settings.higher_is_better else min
    for trial in study.counted:
        if trial.state == "complete" and trial.learned_runs and trial.value is not None:
            best = trial.value if best is None else better(best, trial.value)
        found.append(best)
    return found
