"""What all tests share: the registry's catalog, which tests this machine can run, what faults were injected."""

import os
import signal
from collections import Counter
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

from nin_bench.catalog import RegistryCatalog
from nin_bench.errors import counted
from tests.faults.warm import Warm, warm
from tests.installed import has_fashion_mnist

EXTRA_FIXTURES = {"browser", "postgresql", "ray"}
"""Chromium, a database server, and Ray: tests that take one of these are `extra`."""

COUNTED = ("faults injected", "inputs generated")
"""What the fixtures of tests/faults/conftest.py count."""

# A slow machine is no failure.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# As workers compute: bit-for-bit repetition is promised for one thread, and more threads than free cores only wait
# for each other.
torch.set_num_threads(1)

# What a shell starts in the background ignores Ctrl-C, and what nohup starts a lost terminal: tests send both.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


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


@pytest.fixture(scope="session")
def server() -> Iterator[Warm]:
    """A process that has everything imported, and forks others."""
    with warm() as started:
        yield started


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests of tests/faults injected and drew, also before they failed, and the totals in one line."""
    counts = {what: Counter[str]() for what in COUNTED}
    for report in [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]:
        for what, value in report.user_properties if report.when == "call" else ():
            if what in counts:
                kind, number = value
                counts[what][kind] += number
    if not any(counts.values()):
        return
    terminalreporter.section("faults")
    for kinds in counts.values():
        for kind, number in sorted(kinds.items()):
            terminalreporter.write_line(f"{number:7,d}  {kind}")
    totals = ", ".join(f"{kinds.total():,} {what}" for what, kinds in counts.items())
    num_failed = len(terminalreporter.getreports("failed")) + len(terminalreporter.getreports("error"))
    terminalreporter.write_line(f"total: {totals}, {counted(num_failed, 'test')} failed")
