import os

import pytest
import torch

from nin_bench.errors import InputError
from nin_bench.runner.session import choose_slots


def test_a_cpu_has_a_worker_on_every_core():
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    slots = choose_slots("cpu", None)
    assert [slot.device for slot in slots] == ["cpu"] * (len(cores) or os.cpu_count() or 1)
    if cores:
        assert [slot.core for slot in slots] == cores
        assert [slot.core for slot in choose_slots("cpu", 1)] == cores[:1]
        assert [slot.core for slot in choose_slots("cpu", len(cores) + 1)] == [None] * (len(cores) + 1)


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "abacus", "tpu:0"])
@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is an accelerator here")
def test_an_accelerator_that_is_not_here_is_refused(device):
    with pytest.raises(InputError, match=f"^--device {device}: there is no accelerator here; use --device cpu$"):
        choose_slots(device, None)


@pytest.mark.gpu
def test_an_accelerator_has_one_worker_for_each_device():
    kind = torch.accelerator.current_accelerator().type
    count = torch.accelerator.device_count()
    assert [slot.device for slot in choose_slots("auto", None)] == [f"{kind}:{index}" for index in range(count)]
    assert [slot.device for slot in choose_slots(f"{kind}:0", None)] == [f"{kind}:0"]
    with pytest.raises(InputError, match="numbered from 0"):
        choose_slots(f"{kind}:{count}", None)
