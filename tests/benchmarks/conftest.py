"""Figures that benchmarks tell, as a table at the end of `make bench`; and how large benchmarks are."""

import os
from collections.abc import Callable

import pytest
import torch

from nin_bench.environment import describe_environment
from tests.benchmarks.figures import Figure, Size, markdown_table
from tests.installed import has_fashion_mnist

FIGURES = pytest.StashKey[list[Figure]]()
LOAD_BEFORE = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--tiny", action="store_true", help="run benchmarks at sizes that measure nothing")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = []
    config.stash[LOAD_BEFORE] = os.getloadavg()[0]


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    figures = config.stash[FIGURES]
    if figures:
        machine = describe_environment()
        terminalreporter.section("figures")
        terminalreporter.write_line(
            f"{machine['processor']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB, "
            f"{machine['system']}, Python {machine['python']}, PyTorch {torch.__version__}; "
            f"load before the run {config.stash[LOAD_BEFORE]:.1f}\n"
        )
        for line in markdown_table(figures):
            terminalreporter.write_line(line)


@pytest.fixture
def tell(benchmark, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Tell a figure: `tell(what, value, unit, target)`; it is kept in the benchmark's JSON too."""

    def add(what: str, value: float, unit: str, target: str = "") -> None:
        benchmark.extra_info[what] = value
        request.config.stash[FIGURES].append(Figure(what, value, unit, target))

    return add


@pytest.fixture
def in_turn(benchmark) -> Callable[..., list[tuple[object, object]]]:
    """Call a reference and then what the benchmark times, round by round, so that drift hits both alike."""

    def play(
        reference: Callable[[], object], ours: Callable[[], object], rounds: int
    ) -> list[tuple[object, object]]:
        theirs, results = [], []
        benchmark.pedantic(lambda: results.append(ours()), setup=lambda: theirs.append(reference()), rounds=rounds)
        return list(zip(theirs, results, strict=True))

    return play


@pytest.fixture(scope="session")
def size(request: pytest.FixtureRequest) -> Size:
    return Size.tiny() if request.config.getoption("--tiny") else Size()


@pytest.fixture(scope="session")
def data_name() -> str:
    """Fashion-MNIST where no download is needed, else scikit-learn's digits: 28×28, grey, ten classes."""
    return "fashion_mnist" if has_fashion_mnist() else "digits"
