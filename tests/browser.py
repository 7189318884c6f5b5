"""A headless Chromium for tests of pages, and what it complains of while a page is used."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_REPORT_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


@contextmanager
def chromium() -> "Iterator[Browser]":
    """Debian's Chromium; tests are skipped where there is none, but for CI, where there has to be."""
    from playwright.sync_api import sync_playwright  # of the group extras

    path = shutil.which("chromium")
    if path is None and os.environ.get("CI") != "true":
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        # a container's root has no sandbox of its own to put it in
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: "Browser", path: Path, **options: Any) -> "Iterator[Page]":
    """A page from a file. Whatever it complains of, refuses or asks for while in use fails the test at the end."""
    page = browser.new_page(**options)
    page.set_default_timeout(120_000)  # waits no longer than it has to
    problems: list[str] = []
    page.on("console", lambda message: problems.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: problems.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (problems.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: problems.append(f"request: {request.url}"))
    page.add_init_script(_REPORT_VIOLATIONS)
    page.goto(path.as_uri())
    yield page
    page.close()
    assert problems == [f"request: {path.as_uri()}"]
