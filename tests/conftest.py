"""What all tests share: the registry's catalog, which tests this machine can run, what faults were injected."""

import os
from collections import Counter

import pytest
import torch
from hypothesis import settings

from nin_bench.catalog import RegistryCatalog
from tests.installed import has_fashion_mnist

EXTRA_FIXTURES = {"browser", "postgresql", "ray"}
"""Chromium, a database server, and Ray: tests that take one of these are `extra`."""

# A slow machine is no failure.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# As workers compute: bit-for-bit repetition is promised for one thread, and more threads than free cores only wait
# for each other.
torch.set_num_threads(1)


@pytest.hookimpl(tryfirst=True)  # before `-m` is looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    in_ci = os.environ.get("CI") == "true"
    for item in items:
        if EXTRA_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.extra)
        if item.get_closest_marker("gpu") and not torch.accelerator.is_available():
            item.add_marker(pytest.mark.skip(reason="needs an accelerator, and there is none here"))
        if item.get_closest_marker("fashion") and not has_fashion_mnist() and not in_ci:
            item.add_marker(
                pytest.mark.skip(
                    reason="needs Fashion-MNIST: apt-get install dataset-fashion-mnist, or set NIN_BENCH_DATA"
                )
            )


@pytest.fixture(scope="session")
def catalog() -> RegistryCatalog:
    return RegistryCatalog()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how often each fault was injected, where tests of tests/faults were among those that passed."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties if report.when == "call" else ():
            if name == "faults":
                kind, number = value
                counts[kind] += number
    if counts:
        terminalreporter.section("faults injected")
        for kind, number in sorted(counts.items()):
            terminalreporter.write_line(f"{number:7,d}  {kind}")
