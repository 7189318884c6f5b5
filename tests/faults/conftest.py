"""Faults are counted, and the counts printed when the tests end."""

from collections.abc import Callable

import pytest


@pytest.fixture
def faults(request: pytest.FixtureRequest) -> Callable[[str, int], None]:
    """Say what was injected and how often; call it where the test has seen the fault answered."""

    def count(kind: str, number: int = 1) -> None:
        # A property of the test's report, which reaches the summary from pytest-xdist's workers too.
        request.node.user_properties.append(("faults", (kind, number)))

    return count
