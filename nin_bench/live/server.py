"""Serve a run's page on loopback while it lasts, at an address that holds a token; `http.server` in a thread."""

import json
import math
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from subprocess import DEVNULL
from tempfile import TemporaryDirectory
from urllib.parse import parse_qsl, urlsplit

from nin_bench.errors import InputError
from nin_bench.live.state import RunState

HOST = "127.0.0.1"
PAUSE = 4
"""A report is built again after so many times the time that it took, so that training has the machine."""
LAST_SECONDS = 30.0
"""How long an ended run waits for viewers to have its last page; one that has not asked for so long is gone."""
_KINDS = {"live.html": "text/html", "live.js": "text/javascript", "live.css": "text/css"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src 'self'; img-src data:"
)


@dataclass(frozen=True)
class Answer:
    """What a browser asked for."""

    content: bytes
    kind: str
    is_last: bool = False
    """Whether a viewer that has it has the whole run."""


class LivePage:
    """The page of one run."""

    def __init__(self, folder: Path, name: str, scratch: Path, report: str) -> None:
        self.state = RunState(name)
        self.token = secrets.token_urlsafe(16)
        self.address = ""
        """The address of the page, once it is served."""
        self._folder, self._scratch = folder, scratch
        self._page = scratch / report
        self._report = b""
        self._version = 0
        """The version of the report, counted from 1."""
        self._built_of = 0
        """Records that the report is of."""
        self._build: subprocess.Popen[bytes] | None = None
        self._next_build = 0.0
        self._viewers: dict[str, float] = {}
        """When each viewer that lacks the last page asked last."""
        self._changed = threading.Condition()

    def answer(self, name: str, shown: str) -> Answer | None:
        """A file of the page, the page itself without a name, for a viewer who sees this version of the report."""
        has_ended = self.state.stage == "ended"
        if name == "state":
            state = self.state.as_dict()
            if state["stage"] == "training":
                self._build_if_due()
            content = json.dumps({**state, "report": self._version}).encode()
            return Answer(content, "application/json", has_ended and shown == str(self._version))
        if name == "report.html" and self._version:
            return Answer(self._report, "text/html", has_ended)
        if (name or "live.html") in _KINDS:
            name = name or "live.html"
            return Answer((files("nin_bench.live") / "assets" / name).read_bytes(), _KINDS[name])
        return None

    def note_viewer(self, viewer: str, *, has_all: bool) -> None:
        """A browser, which tells itself from others by a word, had an answer; maybe all that it needs."""
        with self._changed:
            if has_all:
                self._viewers.pop(viewer, None)
            else:
                self._viewers[viewer] = time.monotonic()
            self._changed.notify_all()

    def end(self, page: Path | None) -> None:
        """Show the last report, and wait a moment until those who watch have it."""
        self.close()
        if page is not None:
            self._report, self._version = page.read_bytes(), self._version + 1
        self.state.end()
        ends = time.monotonic() + LAST_SECONDS
        with self._changed:
            while self._watched(ends - LAST_SECONDS) and (left := ends - time.monotonic()) > 0:
                self._changed.wait(left)

    def close(self) -> None:
        """Build no report any more."""
        with self._changed:
            self._next_build = math.inf
            if self._build is not None:
                self._build.kill()
                self._build.wait()

    def _watched(self, ended: float) -> bool:
        return any(asked > ended - LAST_SECONDS for asked in self._viewers.values())

    def _build_if_due(self) -> None:
        with self._changed:
            is_due = self.state.num_records > self._built_of and time.monotonic() >= self._next_build
            if is_due and self._build is None:
                self._built_of = self.state.num_records
                command = [
                    sys.executable,
                    "-m",
                    "nin_bench",
                    "report",
                    str(self._folder),
                    "--out",
                    str(self._scratch),
                ]
                # Of its own: drawing takes seconds, and would keep the run from its workers.
                self._build = subprocess.Popen(command, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True)
                threading.Thread(target=self._take_report, args=(self._build,), daemon=True).start()

    def _take_report(self, build: subprocess.Popen[bytes]) -> None:
        started = time.monotonic()
        status = build.wait()
        with self._changed:
            if status == 0 and self._next_build < math.inf:
                self._report, self._version = self._page.read_bytes(), self._version + 1
            self._next_build = max(self._next_build, time.monotonic() + PAUSE * (time.monotonic() - started))
            self._build = None


@contextmanager
def serving(folder: Path, name: str, port: int, report: str = "report.html") -> Iterator[LivePage]:
    """Serve a page while the context lasts, on a port of the loopback address; 0 is any that is free.

    Args:
        folder: the results folder.
        name: the page's title.
        port: where it listens.
        report: which of the pages that the command `report` writes it shows.

    Returns:
        The page, whose `state` listens to the run.

    Raises:
        InputError: the port cannot be had.
    """
    with TemporaryDirectory(prefix="nin_bench-", ignore_cleanup_errors=True) as scratch:
        page = LivePage(folder, name, Path(scratch), report)
        try:
            server = _Server(page, port)
        except (OSError, OverflowError) as error:
            raise InputError(f"--serve {port}: cannot be had ({error}); give another port, or none") from error
        thread = threading.Thread(target=server.serve_forever, name="live page", daemon=True)
        thread.start()
        try:
            page.address = f"http://{HOST}:{server.server_port}/{page.token}/"
            yield page
        finally:
            page.close()
            server.shutdown()
            server.server_close()


class _Server(ThreadingHTTPServer):
    """Serves one page on loopback, each answer in a thread."""

    daemon_threads = True

    def __init__(self, page: LivePage, port: int) -> None:
        super().__init__((HOST, port), _Handler)
        self.page = page

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a browser that went away is no fault of the run's."""


class _Handler(BaseHTTPRequestHandler):
    """Answers GET below the token; anybody else learns nothing."""

    server: _Server
    timeout = 10

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        token, _, name = address.path.removeprefix("/").partition("/")
        asked = dict(parse_qsl(address.query))
        is_known = secrets.compare_digest(token.encode(), self.server.page.token.encode())
        answer = self.server.page.answer(name, asked.get("shown", "")) if is_known else None
        if answer is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", f"{answer.kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(answer.content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        if name != "report.html":  # which has a policy of its own
            self.send_header("Content-Security-Policy", _POLICY)
        self.end_headers()
        self.wfile.write(answer.content)
        if viewer := asked.get("viewer"):
            self.server.page.note_viewer(viewer, has_all=answer.is_last)

    def log_message(self, *args: object) -> None:
        """Say nothing: the terminal is the run's."""
