"""Failures that are alike: of one variant, with one cause. Trying more of its seeds would only repeat them."""

import re
import traceback
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

MAX_FAILURES = 3
"""So many failures alike say that the next one would be no different."""
PASSING = frozenset({"crashed", "out_of_memory", "timed_out"})
"""Outcomes that may pass, and are tried again by the next run."""


def cause_of(outcome: str, error: str | None) -> str:
    """What two failures have in common if they are alike: the error's first line, without its numbers."""
    first = (error or "").partition("\n")[0]
    return f"{outcome}: {re.sub(r'0x[0-9a-f]+|[0-9]+', '#', first)}"


@dataclass(frozen=True)
class VariantStopped:
    """A variant failed so often with one cause that its other cells or trials are not tried."""

    label: str
    error: str
    """What its last failure said."""
    unneeded: Collection[str]
    """Ids of the cells, or keys of the trials, that are not tried."""


class AlikeFailures:
    """Counts the failures of a run, and says which variants are tried no further."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: Counter[tuple[str, str]] = Counter()
        self.stopped: set[str] = set()
        """Names of the variants that are tried no further."""

    def add(self, variant: str, outcome: str, error: str | None) -> bool:
        """Note a failure; whether it is the one that stops its variant."""
        alike = (variant, cause_of(outcome, error))
        self._counts[alike] += 1
        if self._counts[alike] < self._most or variant in self.stopped:
            return False
        self.stopped.add(variant)
        return True

    def forget(self, variant: str) -> None:
        """Count a variant's failures anew, since with other values it trains."""
        self._counts = Counter({alike: count for alike, count in self._counts.items() if alike[0] != variant})


def failure_line(failure: Exception) -> str:
    """The error in one line, and the place that raised it."""
    last = traceback.extract_tb(failure.__traceback__)[-1]
    text = " ".join(str(failure).split())
    return f"{type(failure).__name__}: {text} (in {last.name}, {Path(last.filename).name}:{last.lineno})"


def failures_alike(ended: Iterable[tuple[str, str, str | None]]) -> list[str]:
    """A sentence for each variant that failed `MAX_FAILURES` times or more with one cause."""
    alike: dict[tuple[str, str], list[str]] = {}
    for label, outcome, error in ended:
        if outcome in PASSING:
            told = f"{outcome}: {(error or 'for no known reason').splitlines()[0]}"
            alike.setdefault((label, cause_of(outcome, error)), []).append(told)
    return [
        f"{label}: {len(told)} cells failed alike ({told[-1]})"
        for (label, _), told in alike.items()
        if len(told) >= MAX_FAILURES
    ]
