"""The events of a run, a measuring or a search, in words."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nin_bench.errors import counted
from nin_bench.executors import Slot
from nin_bench.grid import SearchSpec
from nin_bench.planning import State
from nin_bench.runner.cost_benchmark import BenchmarkStarted
from nin_bench.runner.events import CellEnded, Planned
from nin_bench.search.events import SearchPlanned, TrialResult


def short_labels(labels: Iterable[str]) -> dict[str, str]:
    """Every label without the words that most of them share, as long as no two become alike.

    >>> short_labels(["nin pointwise=1 width=0.25", "nin pointwise=2 width=0.25"])
    {'nin pointwise=1 width=0.25': 'pointwise=1', 'nin pointwise=2 width=0.25': 'pointwise=2'}
    """
    short = {label: label.split() for label in labels}
    counts = Counter(word for words in short.values() for word in set(words))
    for word, count in counts.most_common():
        left = {label: [other for other in words if other != word] for label, words in short.items()}
        is_distinct = all(left.values()) and len(set(map(tuple, left.values()))) == len(left)
        if len(left) > 1 and 2 * count > len(left) and is_distinct:
            short = left
    return {label: " ".join(words) for label, words in short.items()}


def plan_line(event: Planned) -> str:
    """How many cells are to run, and how many of which kind there are besides."""
    todo = sum(planned.has_to_run for planned in event.cells)
    conditional = sum(planned.may_run for planned in event.cells) - todo
    states = Counter(planned.state for planned in event.cells)
    kinds: dict[State, str] = {
        "continue": "to go on from a checkpoint",
        "retry": "to try again",
        "outdated": "outdated",
    }
    details = [
        *([f"up to {conditional} more until claims are decided"] if conditional else []),
        f"{states['done']} done before",
        *(f"{states[state]} {said}" for state, said in kinds.items() if states[state]),
    ]
    return f"{todo} of {len(event.cells)} cells to run ({', '.join(details)}) on {_where(event.slots)}"


def search_line(event: SearchPlanned) -> str:
    """How many trials are to run."""
    todo, total = len(event.epochs), event.num_trials
    return f"{todo} of {total} trials to run ({total - todo} done before) on {_where(event.slots)}"


def _where(slots: Sequence[Slot]) -> str:
    nodes = len({slot.node for slot in slots})
    return f"{len(slots)} × {slots[0].device_kind}{f' of {nodes} nodes' if nodes > 1 else ''}"


def measuring_line(event: BenchmarkStarted) -> str:
    """How much is to be measured."""
    return (
        f"measuring {counted(event.num_variants, 'variant')}, one process at a time: {event.num_samples} samples"
    )


def cell_outcome(event: CellEnded) -> str:
    """How a cell ended, what it reached, and why no more."""
    record = event.record
    accuracy = record.metrics.test_accuracy
    reached = "" if accuracy is None else f", test accuracy {accuracy:.1%}"
    why = record.attempts[-1].error
    cause = f": {why.splitlines()[0]}" if why else ""
    again = "; will be tried again" if event.will_retry else ""
    return f"{record.outcome}{reached}{cause}{again}"


def epoch_notes(row: Mapping[str, Any]) -> tuple[str, str]:
    """What an epoch reached, whole and where there is little room."""
    loss, accuracy = f"loss {row['train_loss']:.3f}", row.get("validation_accuracy")
    return (loss, loss) if accuracy is None else (f"{loss}, validation {accuracy:.1%}", f"{accuracy:.1%}")


def trial_outcome(spec: SearchSpec, result: TrialResult, *, will_retry: bool) -> str:
    """How a trial ended, and what it reached."""
    if result.error is not None:
        return f"failed: {result.error}" + ("; will be tried again" if will_retry else "")
    if result.value is None:
        return "pruned"
    num_failed = sum(run["failed"] for run in result.runs)
    failed = f" ({num_failed} of {len(result.runs)} networks failed)" if num_failed else ""
    return f"{objective_value(spec, result.value)}{failed}"


def objective_value(spec: SearchSpec, value: float) -> str:
    """A value of the objective, named and rounded: `validation accuracy 86.1%`."""
    return f"{spec.objective_title} {f'{value:.1%}' if spec.in_points else f'{value:.3f}'}"


def short_objective(spec: SearchSpec, value: float) -> str:
    """A value of the objective where there is little room: `86.1%`."""
    return f"{value:.1%}" if spec.in_points else f"loss {value:.3f}"


def short_value(value: object) -> str:
    """A parameter's value to three digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
