"""How many faults a test injects: a few in every run of the tests, all of them with `make test-faults`."""

import os
from typing import TypeVar

T = TypeVar("T")

WHOLE = os.environ.get("NIN_BENCH_FAULTS") == "all"


def scaled(quick: T, full: T) -> T:
    """What every run takes, or what `make test-faults` takes."""
    return full if WHOLE else quick
