"""Seeds until decided: when to look at a claim, and with which part of its level."""

from dataclasses import dataclass

SHARES = (0.10, 0.05, 0.85)
"""The shares of a claim's level that are spent at half, three quarters and all of the seeds.

By the union bound a claim errs at most its level, whatever test decides at each look."""


@dataclass(frozen=True)
class Look:
    """One time at which a claim is judged."""

    n: int
    """Seeds that are looked at: the first n listed."""
    share: float
    """Part of the claim's level that this look may spend."""


def looks(at_most: int) -> list[Look]:
    """The looks at a claim for which at most so many seeds are trained: 12, 18 and 24 of 24.

    Numbers are rounded up; looks at the same number are one, with their shares together.
    """
    assert at_most > 0, at_most
    found: dict[int, float] = {}
    for quarters, share in zip((2, 3, 4), SHARES, strict=True):
        n = -(-at_most * quarters // 4)
        found[n] = found.get(n, 0.0) + share
    return [Look(n, share) for n, share in found.items()]
