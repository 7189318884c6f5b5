"""Runs that are watched: by two browsers at once, to their end, and until they are killed."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.browser import chromium

GRID = """
schema: 1
name: tiny
data: {name: digits, train_size: 200, validation_size: 50}
recipe: {epochs: 2, batch_size: 50}
seeds: 1
models: [{name: mlp, hidden: 8}%s]
"""
SEARCH = """
search: {space: {lr: [0.1, 0.2]}, trials: 2, seeds: 1}
"""
ENDLESS = ", {name: mlp, hidden: 16, label: endless, recipe: {epochs: 100000}}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@contextmanager
def run_served(
    tmp_path: Path, grid: str, words: Sequence[str] = ("run", "--no-measure")
) -> Iterator[tuple[subprocess.Popen, str]]:
    """A run, or a search, in a process of its own, and the address that it prints."""
    (tmp_path / "grid.yaml").write_text(grid)
    command = [sys.executable, "-m", "nin_bench", *words, "--grid", "grid.yaml", "--workers", "2", "--serve"]
    told = tmp_path / "stderr.txt"  # not a pipe: who does not read it to the end stops the run once it is full
    with told.open("w") as stderr:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=stderr)
    try:
        while (address := re.search(r"^watch: (\S+)\n", told.read_text(), re.MULTILINE)) is None:
            assert process.poll() is None, told.read_text()
            time.sleep(0.1)
        yield process, address[1]
    finally:
        process.kill()
        process.wait()


@contextmanager
def watching(browser: Any, address: str) -> Iterator[Any]:
    """A page that may ask only the run, and must not complain."""
    page = browser.new_page()
    page.set_default_timeout(300_000)  # waits no longer than it has to
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "request", lambda request: problems.append(request.url) if not request.url.startswith(address) else None
    )
    page.goto(address)
    yield page
    page.close()
    assert [one for one in problems if not one.startswith("data:")] == []


def test_two_viewers_see_curves_a_report_as_cells_end_and_that_the_run_was_killed(browser, tmp_path):
    from playwright.sync_api import expect  # of the group extras

    with (
        run_served(tmp_path, GRID % ENDLESS) as (process, address),
        watching(browser, address) as one,
        watching(browser, address) as other,
    ):
        for page in (one, other):
            page.locator("#outcomes", has_text="1 trained").wait_for()
            curve = page.locator("figure polyline.accuracy")
            assert len(curve.get_attribute("points").split()) >= 1
            assert "endless, seed 0" in page.locator("figcaption").inner_text()
            report = page.frame_locator("#report")
            report.locator("h1", has_text="tiny").wait_for()
            assert "1 of 2 planned cells have no record" in report.locator("main").inner_text()
        first = one.locator("figcaption").inner_text()
        expect(one.locator("figcaption")).not_to_have_text(first, use_inner_text=True, timeout=300_000)
        process.kill()
        for page in (one, other):
            page.locator("#stage.lost", has_text="No answer since").wait_for()
            assert page.frame_locator("#report").locator("h1").inner_text().startswith("tiny")


def test_who_watches_to_the_end_has_the_last_report(browser, tmp_path):
    with run_served(tmp_path, GRID % "") as (process, address), watching(browser, address) as page:
        page.locator("#stage", has_text="The run has ended.").wait_for()
        report = page.frame_locator("#report")
        report.locator("h1", has_text="tiny").wait_for()
        assert "have no record" not in report.locator("main").inner_text()
        assert process.wait() == 0


def test_who_watches_a_search_sees_its_networks_and_at_its_end_its_report(browser, tmp_path):
    with (
        run_served(tmp_path, GRID % "" + SEARCH, ["search"]) as (process, address),
        watching(browser, address) as page,
    ):
        page.locator("#stage", has_text="The run has ended.").wait_for()
        assert page.locator("#outcomes").inner_text() == "cells so far: 2 trained"
        page.frame_locator("#report").locator("h1", has_text="tiny").wait_for()
        assert "lr" in page.frame_locator("#report").locator("main").inner_text()
        assert process.wait() == 0


def test_only_loopback_and_only_below_the_token(tmp_path):
    with run_served(tmp_path, GRID % ENDLESS) as (_, address):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{22}/", address)
        host = address.split("/")[2]
        token = address.split("/")[3]
        for path in ("", "state", "live.js", "wrong/state", f"{token}/../state", f"{token}/live.py", f"{token}x/"):
            with pytest.raises(HTTPError, match="404"):
                urlopen(f"http://{host}/{path}", timeout=120)
        with urlopen(f"{address}state", timeout=120) as answer:
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["Cache-Control"] == "no-store"
