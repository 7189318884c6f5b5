"""What machine, what software, what commit; never a host's, a user's or a folder's name.

Imports torch only when asked for the accelerator, so that `status` and `report` stay instant.
"""

import hashlib
import json
import os
import platform
import re
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nin_bench import __version__

_SOFTWARE = ("torch", "torchvision", "numpy", "pandas", "scikit-learn")
_FOLDERS = re.compile(
    r"""(?<=['"])/[^'"\n]*/"""  # of a quoted path, all but its last part
    r"""|(?<![\w/:.])/(?:[^/\s'"]+/)+"""  # of a bare one; neither a URL nor a fraction
)


@cache
def describe_environment() -> dict[str, Any]:
    """Processor, cores, memory, operating system, versions and commit, as a record keeps them."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": _memory_bytes(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "software": {name: found for name in _SOFTWARE if (found := _version(name)) is not None},
        "nin_bench": _version("nin-bench"),
        "commit": _commit(),
    }


def describe_machine(device: str) -> dict[str, Any]:
    """What measured costs are of, and a fingerprint that is equal for machines that should measure the same.

    The fingerprint is of processor, cores, memory (in GiB: what a kernel keeps for itself varies), accelerator and
    software versions.

    Args:
        device: a torch device of this machine.
    """
    environment = describe_environment()
    machine = {
        "processor": environment["processor"],
        "num_cores": environment["cores"],
        "memory_bytes": environment["memory_bytes"],
        "device": device_name(device),
        "software": {
            "python": environment["python"],
            "torch": environment["software"]["torch"],
            "nin_bench": __version__,
        },
    }
    memory_bytes = environment["memory_bytes"]
    told = {**machine, "memory_bytes": None if memory_bytes is None else round(memory_bytes / 2**30)}
    fingerprint = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
    return {"fingerprint": fingerprint, **machine}


def device_name(device: str) -> str:
    """A CUDA device's model, or the kind of any other; the device has to be there."""
    kind = device.partition(":")[0]
    if kind != "cuda":
        return kind
    import torch

    return torch.cuda.get_device_name(device)


def without_folders(text: str) -> str:
    """A message with the folders of its absolute paths left out, for a record that others will read.

    >>> without_folders("[Errno 2] No such file or directory: '/home/somebody/data/train.gz'")
    "[Errno 2] No such file or directory: 'train.gz'"
    """
    return _FOLDERS.sub("", text)


def has_accelerator() -> bool:
    """Whether torch sees an accelerator here."""
    import torch

    return bool(torch.accelerator.is_available())


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's model name; the architecture where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _commit() -> str | None:
    """The checkout's commit, with `+` where files differ from it; None for an installed package."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return None
    try:
        head = _git(root, "rev-parse", "HEAD")
        return head + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()
