"""Searches of tiny networks on real digits, and what they tell."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from nin_bench.catalog import RegistryCatalog
from nin_bench.grid import Grid
from nin_bench.results import ResultsFolder
from nin_bench.search.events import SearchEvent
from nin_bench.search.run import SearchOptions, SearchSummary, search_grid
from tests.search.search_grid_text import GRID


@pytest.fixture(autouse=True)
def _quiet():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


@pytest.fixture
def load(tmp_path: Path, catalog: RegistryCatalog) -> Callable[..., Grid]:
    """Load a grid from its text."""

    def load(text: str = GRID, **options: Any) -> Grid:
        path = tmp_path / "grid.yaml"
        path.write_text(text)
        return Grid.load(path, catalog, **options)

    return load


class Bench:
    """A folder for one search, and what it told."""

    def __init__(self, path: Path, load: Callable[..., Grid]) -> None:
        self.folder = ResultsFolder(path / "results" / "tiny" / "full")
        self.load = load
        self.events: list[SearchEvent] = []

    def search(
        self, text: str = GRID, *, on_event: Any = None, selection: dict[str, Any] | None = None, **options: Any
    ) -> SearchSummary:
        self.events = []

        def listen(event: SearchEvent) -> None:
            self.events.append(event)
            if on_event is not None:
                on_event(event)

        options = {"device": "cpu", "workers": 2, **options}
        return search_grid(self.load(text, **(selection or {})), self.folder, SearchOptions(**options), listen)

    def told(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def studies(self) -> dict[str, dict[str, Any]]:
        """By label, as the folder keeps them."""
        kept = [json.loads(path.read_text()) for path in (self.folder.path / "studies").glob("*.json")]
        return {study["label"]: study for study in kept}

    def trials(self, label: str) -> list[dict[str, Any]]:
        trials: list[dict[str, Any]] = self.studies()[label]["trials"]
        return trials

    def files(self) -> dict[str, bytes]:
        paths = (path for path in self.folder.path.rglob("*") if path.is_file() and path.name != ".lock")
        return {str(path.relative_to(self.folder.path)): path.read_bytes() for path in paths}


@pytest.fixture
def bench(tmp_path: Path, load: Callable[..., Grid]) -> Bench:
    return Bench(tmp_path, load)


@pytest.fixture
def unused_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
