"""How many faults a test injects: a few in every run of the tests, all of them with `make test-faults`."""

import os
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
Count = Callable[[str, int], None]
"""What the fixtures `faults` and `inputs` are: the kind, and how many."""

FAULTS = {
    *("stopped", "killed at rest", "killed while it wrote", "damaged"),
    *("claimed by a second process", "refused since it was held"),
}
"""What of the steps of a state machine is a fault."""

WHOLE = os.environ.get("NIN_BENCH_FAULTS") == "all"


def scaled(quick: T, full: T) -> T:
    """What every run takes, or what `make test-faults` takes."""
    return full if WHOLE else quick
