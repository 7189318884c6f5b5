"""Where cells can be trained on this machine."""

import os

import torch

from nin_bench.errors import InputError
from nin_bench.executors import Slot


def choose_slots(device: str, workers: int | None) -> list[Slot]:
    """Where workers run: one per accelerator, or one per core of the CPU, pinned to it.

    Args:
        device: `auto`, `cpu`, or a torch device (`cuda`, `cuda:1`); a kind alone takes all of its devices.
        workers: how many on a CPU; None is one per core that this process may use.

    Raises:
        InputError: there is no such device here.
    """
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    kind, _, number = device.partition(":")
    if device == "auto":
        kind = accelerator.type if accelerator else "cpu"
    if kind == "cpu":
        if number:
            raise InputError(f"--device {device}: a CPU has no number; use --device cpu, and --workers")
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        count = workers or len(cores) or os.cpu_count() or 1
        # More workers than cores share them as the system sees fit.
        return [Slot("cpu", cores[index] if count <= len(cores) else None) for index in range(count)]
    if accelerator is None or accelerator.type != kind:
        here = accelerator.type if accelerator else "no accelerator"
        raise InputError(f"--device {device}: there is {here} here; use --device cpu")
    every = [str(index) for index in range(torch.accelerator.device_count())]
    if number and number not in every:
        raise InputError(f"--device {device}: there are {len(every)} such devices, numbered from 0")
    return [Slot(f"{kind}:{index}") for index in ([number] if number else every)]
