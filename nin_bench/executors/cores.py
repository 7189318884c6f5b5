"""Claim cores of this machine, so that two runs do not pin their workers to the same ones.

A claim is a file with a kernel lock in the user's runtime folder; the lock dies with its holder. Where there is no
such folder, or locks do not work in it, no worker is pinned: two runs on one core would take twice as long.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from nin_bench.executors.protocol import Slot


@contextmanager
def claimed_cores(slots: Sequence[Slot]) -> Iterator[list[Slot]]:
    """While it is entered, hold a core for each slot of the CPU, as far as there are free ones.

    Yields:
        The same slots; those with a core come first. More slots than cores share them as the system sees fit.
    """
    folder = _claims_folder()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    on_cpu = all(slot.device == "cpu" for slot in slots)
    if folder is None or not on_cpu or len(slots) > len(cores):
        yield list(slots)
        return
    with ExitStack() as claims:
        held: list[int] = []
        for core in cores:
            if len(held) < len(slots) and _claim(folder / f"core{core}.lock", claims):
                held.append(core)
        pinned = [replace(slot, core=core) for slot, core in zip(slots, held, strict=False)]
        yield [*pinned, *slots[len(held) :]]


def _claims_folder() -> Path | None:
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or "")
    if not runtime.is_absolute():
        return None
    folder = runtime / "nin_bench"
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder
    return None


def _claim(path: Path, claims: ExitStack) -> bool:
    """Take a core's lock, which is released as `claims` ends; whether it was free."""
    with suppress(Timeout, OSError, NotImplementedError):
        claims.enter_context(FileLock(path, timeout=0, mode=0o600))
        return True
    return False
