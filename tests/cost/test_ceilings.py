import torch

from nin_bench.cost.ceilings import measure_ceilings


def test_ceilings_are_those_of_a_processor():
    ceilings = measure_ceilings(torch.device("cpu"))
    assert 1e9 < ceilings.fp32_flops_per_second < 1e13  # of one machine: a slow core to a whole server
    assert 1e6 < ceilings.bf16_flops_per_second < 1e14  # which some processors only emulate
    assert 1e8 < ceilings.copy_bytes_per_second < 1e13
