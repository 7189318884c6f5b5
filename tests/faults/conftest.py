"""Faults are counted, and the counts printed when the tests end; most hit processes that one process forks."""

from collections.abc import Callable

import pytest


@pytest.fixture
def faults(request: pytest.FixtureRequest) -> Callable[[str, int], None]:
    """Say what was injected and how often; call it where the test has seen the fault answered."""
    return _counts(request, "faults injected")


@pytest.fixture
def inputs(request: pytest.FixtureRequest) -> Callable[[str, int], None]:
    """Say what was drawn at random and how often, as for `faults`."""
    return _counts(request, "inputs generated")


def _counts(request: pytest.FixtureRequest, what: str) -> Callable[[str, int], None]:
    def count(kind: str, number: int = 1) -> None:
        # A property of the test's report, which reaches the summary from pytest-xdist's workers too.
        request.node.user_properties.append((what, (kind, number)))

    return count
