"""What every variant's trials took, and what fewer of them would have found."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from nin_bench.report.search.rates import NEAR
from nin_bench.report.search.studies import Search, Settings, Study, Trial


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
    label: str
    asked: int
    """Trials."""
    complete: int
    pruned: int
    failed: int
    """Killed or crashed; each is replaced by another with the same parameters."""
    diverged: int
    """Of the complete trials: some seed's loss became infinite."""
    at_chance: int
    """Of the others: some seed never left chance level."""
    epochs: int
    """Over all seeds of all trials, failed ones too."""
    device_seconds: float
    """Of training and evaluating, over the trials that measured it."""
    num_unmeasured: int
    """Trials that did not, so that the device was busy for longer."""
    overhead: Overhead | None
    best_so_far: list[float | None]
    """After each trial that counts, in the order they were started; None before one has learned."""
    expected_best: list[float | None]
    """Of k trials drawn at random from those that count, for k = 1, 2, …: see `expected_best`."""
    trials_needed: int | None
    """The smallest k whose expected best accuracy lies within `NEAR` of the best; None where none
    learned, and for another objective."""


def budgets(search: Search) -> list[Budget]:
    """What each study took, in the grid's order."""
    return [_budget(search.settings, study) for study in search.studies]


def _budget(settings: Settings, study: Study) -> Budget:
    scores = [score(trial, settings) for trial in study.counted]
    diverged = [trial for trial in study.complete if trial.diverged]
    at_chance = [trial for trial in study.complete if not trial.diverged and trial.escaped is False]
    measured = [trial.device_seconds for trial in study.trials if trial.device_seconds is not None]
    overheads = [trial.overhead_seconds for trial in study.counted if trial.overhead_seconds is not None]
    so_far, expected = _best_so_far(study, settings), expected_best(scores, settings.higher_is_better)
    by_points = settings.objective == "validation_accuracy" and so_far[-1:] not in ([], [None])
    return Budget(
        variant_id=study.variant_id,
        label=study.label,
        asked=settings.trials,
        complete=len(study.complete),
        pruned=sum(trial.state == "pruned" for trial in study.trials),
        failed=len(study.trials) - len(study.counted),
        diverged=len(diverged),
        at_chance=len(at_chance),
        epochs=sum(trial.epochs for trial in study.trials),
        device_seconds=math.fsum(measured),
        num_unmeasured=len(study.trials) - len(measured),
        overhead=Overhead(statistics.median(overheads), max(overheads), len(overheads)) if overheads else None,
        best_so_far=so_far,
        expected_best=[value if math.isfinite(value) else None for value in expected],
        trials_needed=_trials_needed(expected) if by_points else None,
    )


def score(trial: Trial, settings: Settings) -> float:
    """What a trial is worth: its value, or the worst there is where a seed diverged or stayed at chance level.

    The worst is an accuracy of 0 and an infinite loss. A pruned trial is worth what it had reached.
    """
    worst = 0.0 if settings.higher_is_better else math.inf
    failed = trial.diverged or (trial.state == "complete" and not trial.learned)
    return worst if failed or trial.value is None else trial.value


def expected_best(scores: Sequence[float], higher_is_better: bool) -> list[float]:
    """The expected best of k of n scores, for k from 1 to n.

    Exact for draws without replacement, Σ v(i) · C(i − 1, k − 1) / C(n, k) over the scores in ascending order.
    Source: Tang et al., Showing Your Work Doesn't Always Work, ACL 2020; Dodge et al., Show Your Work, EMNLP 2019,
    draw with replacement, which is biased low.

    Returns:
        n numbers, infinite for a loss where all k drawn may have failed.
    """
    n = len(scores)
    ranked = sorted(scores, reverse=not higher_is_better)
    return [
        math.fsum(
            value * (math.comb(rank, k - 1) / math.comb(n, k))
            for rank, value in enumerate(ranked)
            if rank >= k - 1
        )
        for k in range(1, n + 1)
    ]


def _trials_needed(expected: Sequence[float]) -> int:
    return next(k for k, value in enumerate(expected, start=1) if value >= expected[-1] - NEAR)


def _best_so_far(study: Study, settings: Settings) -> list[float | None]:
    best: float | None = None
    found: list[float | None] = []
    better = max if settings.higher_is_better else min
    for trial in study.counted:
        if trial.learned and trial.value is not None:
            best = trial.value if best is None else better(best, trial.value)
        found.append(best)
    return found
