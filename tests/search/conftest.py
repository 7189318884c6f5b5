"""Searches of tiny networks on real digits, and what they tell."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
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


def _server_program(name: str) -> str | None:
    """Debian keeps the server's programs out of the path, one folder a version."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(installed[-1]) if installed else shutil.which(name)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """The address of a database of its own; the server listens on a socket in its folder alone."""
    initdb, control = _server_program("initdb"), _server_program("pg_ctl")
    if initdb is None or control is None:
        if os.environ.get("CI") == "true":
            pytest.fail("in CI PostgreSQL must be there: apt-get install postgresql")
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    user = "postgres" if os.getuid() == 0 else None  # initdb refuses root

    def call(*arguments: str) -> None:
        done = subprocess.run(arguments, cwd=folder, user=user, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    # Not below pytest's folder, which no other user may enter, and whose path may be too long for a socket.
    with tempfile.TemporaryDirectory(prefix="nin_bench-") as folder:
        if user is not None:
            shutil.chown(folder, user)
        data = f"{folder}/data"
        call(initdb, "--pgdata", data, "--username", "searcher", "--auth", "trust", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
        call(control, "start", "--wait", "--pgdata", data, "--log", f"{folder}/log", "--options", options)
        try:
            yield f"postgresql://searcher@/postgres?host={folder}"
        finally:
            call(control, "stop", "--pgdata", data, "--mode", "immediate")
