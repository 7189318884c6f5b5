import sys

import pytest
import torch

from nin_bench.cost.peak import PeakMemory

MIB = 2**20
BATCHED = MIB  # the kernel counts pages in batches, so that a peak can be told a little low


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel that sets a peak back on demand is Linux")
def test_the_peak_is_above_what_was_held_before_and_is_forgotten_on_demand():
    kept = torch.ones(64 * MIB, dtype=torch.uint8)
    memory = PeakMemory(torch.device("cpu"))
    assert memory.before > 64 * MIB
    large = torch.ones(128 * MIB, dtype=torch.uint8)
    assert large.numel() + kept.numel() == 192 * MIB
    del large
    assert 128 * MIB - BATCHED <= memory.peak() < 160 * MIB
    memory.restart()
    small = torch.ones(32 * MIB, dtype=torch.uint8)
    assert 32 * MIB - BATCHED <= memory.peak() < 64 * MIB
    assert small.numel() == 32 * MIB
