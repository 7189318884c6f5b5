import os

import pytest
import torch

from nin_bench import environment
from nin_bench.environment import num_cores
from nin_bench.errors import InputError
from nin_bench.executors import Slot
from nin_bench.runner.session import choose_slots


def test_a_cpu_has_a_worker_on_every_core():
    assert choose_slots("cpu", None) == [Slot("cpu")] * num_cores()
    slots = choose_slots("cpu", 3)
    assert slots == [Slot("cpu")] * 3
    assert len({id(slot) for slot in slots}) == 3, "an executor tells slots apart"


def test_a_quota_of_processor_time_limits_the_workers(monkeypatch):
    for quota, expected in ((1.5, 1), (0.5, 1), (1000.0, len(os.sched_getaffinity(0)))):
        monkeypatch.setattr(environment, "cpu_quota", lambda quota=quota: quota)
        assert len(choose_slots("cpu", None)) == expected
    assert len(choose_slots("cpu", 2)) == 2, "who says how many has decided"


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
