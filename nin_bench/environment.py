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
from nin_bench.cgroups import cpu_quota, memory_limit

_CUDNN_FLAGS = ("enabled", "deterministic", "benchmark", "allow_tf32")
_SOFTWARE = ("torch", "torchvision", "numpy", "pandas", "scikit-learn", "timm")
_CHANGES_BITS = re.compile(
    r"(ONEDNN|DNNL|MKL|OMP|KMP|GOMP|OPENBLAS|BLIS|CUBLAS|CUBLASLT|CUDNN|MIOPEN|ROCBLAS|HIPBLAS|HIPBLASLT)_\w+"
    r"|ATEN_CPU_CAPABILITY|NVIDIA_TF32_OVERRIDE|TORCH_ALLOW_TF32_CUBLAS_OVERRIDE|TORCH_LINALG_PREFER_CUSOLVER"
    r"|(TORCH_BLAS_PREFER|TORCH_CUBLASLT|TORCH_CUDNN|PYTORCH_MIOPEN|PYTORCH_TUNABLEOP)_\w+|TORCHINDUCTOR_(?!CACHE)\w+"
)
"""Environment variables by which libraries choose other kernels, precisions or numbers of threads."""
_SET_BY_IMPORT = frozenset({"KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK"})
"""The variables that scikit-learn sets when it is imported; they change no number."""
_REDIRECTS_GIT = frozenset({
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_DIR", "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_INTERNAL_SUPER_PREFIX", "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
})  # fmt: skip
"""Environment variables that make git look at another repository; hooks and tools set them for what they run.

Of `git rev-parse --local-env-vars`, GIT_CONFIG_COUNT and GIT_CONFIG_PARAMETERS are kept, as git keeps them where
it looks into another repository: they may name safe directories.
"""
_FOLDERS = re.compile(
    r"""(?<=['"])/[^'"\n]*/"""  # of a quoted path, all but its last part
    r"""|(?<![\w/:.])/(?:[^/\s'"]+/)+"""  # of a bare one; neither a URL nor a fraction
)


@cache
def describe_environment() -> dict[str, Any]:
    """Processor, cores, memory, operating system, versions, variables and commit, as a record keeps them.

    `variables` are those of the environment that can change the bits of a result. `commit` is None if it is not
    known, and `commit_note` then says why.
    """
    commit, note = _commit()
    return {
        **describe_system(),
        "nin_bench": _version("nin-bench"),
        "commit": commit,
        **({} if note is None else {"commit_note": note}),
    }


def describe_system() -> dict[str, Any]:
    """What of `describe_environment` is the machine's, and not the code's."""
    return {
        "processor": _processor(),
        "cores": num_cores(),
        "memory_bytes": _memory_bytes(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "software": {name: found for name in _SOFTWARE if (found := _version(name)) is not None},
        "variables": {
            name: without_folders(value)
            for name, value in sorted(os.environ.items())
            if _CHANGES_BITS.fullmatch(name) and name not in _SET_BY_IMPORT
        },
    }


def environment_of(device: str) -> dict[str, Any]:
    """`describe_environment` with a device of this machine, as `device_name` tells it."""
    return {**describe_environment(), "device": device_name(device)}


def describe_torch(device: str) -> dict[str, Any]:
    """PyTorch's settings in this process that can change the bits of a result, as a record keeps them."""
    import torch

    found: dict[str, Any] = {
        "num_threads": torch.get_num_threads(),
        "num_interop_threads": torch.get_num_interop_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "mkldnn": torch.backends.mkldnn.enabled,
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
    }
    if device.startswith("cuda"):
        found |= {
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
            **{f"cudnn_{name}": getattr(torch.backends.cudnn, name) for name in _CUDNN_FLAGS},
        }
    return found


def describe_machine(device: str) -> dict[str, Any]:
    """What measured costs are of, and a fingerprint that is equal for machines that should measure the same.

    The fingerprint is of processor, cores, memory (in GiB: what a kernel keeps for itself varies), accelerator and
    software versions. A container's limits count: it is another machine.
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


def device_memory_bytes(device: str) -> int | None:
    """The memory that a CUDA device has of its own; None for any other."""
    if not device.startswith("cuda"):
        return None
    import torch

    return int(torch.cuda.get_device_properties(device).total_memory)


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


def num_cores() -> int:
    """How many cores this process can keep busy: those that it may run on, or fewer where its time is limited."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    return cores if quota is None else max(1, min(cores, int(quota)))


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
    """The machine's memory, or less where this process may not use all of it."""
    try:
        installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return memory_limit()
    return min(installed, memory_limit() or installed)


def _commit() -> tuple[str | None, str | None]:
    """The checkout's commit, with `+` where files differ from it; or None, and why it is not known."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return None, "the package is not in a git checkout"
    try:
        head = _git(root, "rev-parse", "HEAD")
        return head + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else ""), None
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip().partition("\n")[0] or f"git ended with {error.returncode}"
    except (OSError, subprocess.SubprocessError) as error:
        reason = f"git could not be asked: {error}"
    return None, without_folders(" ".join(reason.split()))


def _git(root: Path, *arguments: str) -> str:
    """What git says of the repository at `root`, whatever the environment redirects it to."""
    variables = {name: value for name, value in os.environ.items() if name not in _REDIRECTS_GIT}
    variables |= {
        "LC_ALL": "C",  # English reasons
        "GIT_OPTIONAL_LOCKS": "0",  # other commands wait for no lock
        "GIT_CEILING_DIRECTORIES": str(root.parent),  # where .git is damaged, a repository around it is not asked
    }
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
