"""What Linux's control groups leave this process of processors and memory; containers are limited by them."""

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_UNLIMITED_BYTES = 2**60
"""Version 1 writes the largest number of pages for no limit."""


def cpu_quota(root: Path = Path("/")) -> float | None:
    """How many cores' time the process may use; None without a limit, or where the system does not tell."""
    quotas = []
    for group in _groups("cpu", root):
        with suppress(OSError, ValueError, ZeroDivisionError):
            if (group / "cpu.max").exists():
                quota, period = (group / "cpu.max").read_text().split()
            else:
                quota = (group / "cpu.cfs_quota_us").read_text()
                period = (group / "cpu.cfs_period_us").read_text()
            share = float(quota) / float(period)  # "max" is no number
            quotas += [share] if share > 0 and math.isfinite(share) else []
    return min(quotas, default=None)


def memory_limit(root: Path = Path("/")) -> int | None:
    """How many bytes the process and those beside it in its group may hold; None without a limit."""
    limits = []
    for group in _groups("memory", root):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with suppress(OSError, ValueError):
                limits.append(int((group / name).read_text()))
    return min((limit for limit in limits if 0 < limit < _UNLIMITED_BYTES), default=None)


def _groups(controller: str, root: Path) -> Iterator[Path]:
    """The folders of the process's group and of those that it lies in, in either version's tree."""
    try:
        memberships = (root / "proc/self/cgroup").read_text().splitlines()
        mounts = (root / "proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return
    places = {}
    for line in memberships:
        _, controllers, place = line.split(":", 2)
        if not controllers or controller in controllers.split(","):
            places["cgroup" if controllers else "cgroup2"] = place
    for line in mounts:
        fields, _, rest = line.partition(" - ")
        _, _, _, mounted, point, *_ = fields.split()
        kind, _, options = rest.split(maxsplit=2)
        if kind not in places or (kind == "cgroup" and controller not in options.split(",")):
            continue
        # What is mounted may be a part of the tree; a group outside of it is seen as its top.
        inside = Path(places[kind])
        below = inside.relative_to(mounted) if inside.is_relative_to(mounted) else Path()
        top = root / point.lstrip("/")
        yield from (top / part for part in (below, *below.parents) if ".." not in part.parts)
