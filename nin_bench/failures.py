"""Failures that are alike: of one variant, with one cause. Trying more of its seeds would only repeat them."""

import re
from collections import Counter
from collections.abc import Iterable

MAX_FAILURES = 3
"""So many failures alike say that the next one would be no different."""
PASSING = frozenset({"crashed", "out_of_memory", "timed_out"})
"""Outcomes that may pass, and are tried again by the next run."""


def cause_of(outcome: str, error: str | None) -> str:
    """What two failures have in common if they are alike: the error's first line, without its numbers."""
    first = (error or "").partition("\n")[0]
    return f"{outcome}: {re.sub(r'0x[0-9a-f]+|[0-9]+', '#', first)}"


def failures_alike(ended: Iterable[tuple[str, str, str | None]]) -> list[str]:
    """A sentence for each variant that failed `MAX_FAILURES` times or more with one cause."""
    counts: Counter[tuple[str, str]] = Counter()
    told: dict[tuple[str, str], str] = {}
    for label, outcome, error in ended:
        if outcome in PASSING:
            alike = (label, cause_of(outcome, error))
            counts[alike] += 1
            told[alike] = f"{outcome}: {(error or 'for no known reason').splitlines()[0]}"
    return [
        f"{alike[0]}: {count} cells failed alike ({told[alike]})"
        for alike, count in counts.items()
        if count >= MAX_FAILURES
    ]
