"""Follow a results folder that another process writes."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from nin_bench.results.folder_lock import lock_holder

EVERY_SECONDS = 1.0
_WRITTEN = ("", "cells", "checkpoints", "costs", "studies")
"""Folders in which something is renamed whenever there is news."""


def changes_of(folder: Path) -> Iterator[str | None]:
    """Who uses a folder: at once, then after every change in it, until nobody does; None is the last."""
    seen = None
    while True:
        found = [_changed_at(folder / name) for name in _WRITTEN], lock_holder(folder)
        if found != seen:
            seen = found
            yield found[1]
        if found[1] is None:
            return
        time.sleep(EVERY_SECONDS)


def _changed_at(folder: Path) -> int:
    with suppress(OSError):
        return folder.stat().st_mtime_ns
    return 0
