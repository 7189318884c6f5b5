"""Look at other processes, on Linux: who is in a group, who is still running, wait until all have ended."""

import os
import select
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and waits on pidfds, which Linux has")


def is_running(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return _stat(pid)[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def members_of(group: int) -> set[int]:
    """The processes of a group that are running."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        pid = int(entry.name)
        try:
            state, _, its_group, *_ = _stat(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its_group) == group and state != "Z":
            found.add(pid)
    return found


def still_running_after(seconds: float, pids: Iterable[int]) -> set[int]:
    """Wait until all of them have ended, but only so long; those that have not."""
    waiting, left = select.poll(), {}
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        waiting.register(descriptor, select.POLLIN)
        left[descriptor] = pid
    while left and (ended := waiting.poll(seconds * 1000)):
        for descriptor, _ in ended:
            waiting.unregister(descriptor)
            os.close(descriptor)
            del left[descriptor]
    return set(left.values())


def _stat(pid: int) -> list[str]:
    """State, parent, group and so on; the program's name before them may hold spaces."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
