from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import torch

from nin_bench.cost.peak import PeakMemory

MIB = 2**20
BATCHED = MIB  # the kernel counts pages in batches, so that a peak can be told a little low


def peaks_of_two_tensors() -> tuple[int | None, int | None, int | None]:
    """What was held before; the peak with 128 MiB, and with 32 MiB after it was forgotten."""
    kept = torch.ones(64 * MIB, dtype=torch.uint8)
    memory = PeakMemory(torch.device("cpu"))
    large = torch.ones(128 * MIB, dtype=torch.uint8)
    assert large.numel() + kept.numel() == 192 * MIB
    del large
    first = memory.peak()
    memory.restart()
    small = torch.ones(32 * MIB, dtype=torch.uint8)
    assert small.numel() == 32 * MIB
    return memory.before, first, memory.peak()


def test_the_peak_is_above_what_was_held_before_and_is_forgotten_on_demand():
    # In a fresh process, as a worker is: in an old one the kernel may take back pages meanwhile.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        before, first, second = pool.submit(peaks_of_two_tensors).result()
    if first is None:
        pytest.skip("this system does not tell a process's peak")
    assert before > 64 * MIB
    assert 128 * MIB - BATCHED <= first < 160 * MIB
    assert 32 * MIB - BATCHED <= second < 64 * MIB
