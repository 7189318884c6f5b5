from typing import Any

import pytest
from costs_fixture import cost_entry

from nin_bench.largest_batch import LargestBatch, largest_batches
from nin_bench.results.cost_entry import CostEntry

MB = 1_000_000


def batch(batch_size: int, peak: int | None, micro_batch: int | None = None) -> dict[str, Any]:
    return {"batch_size": batch_size, "micro_batch": micro_batch, "peak_foretold": 0, "peak": peak}


def entry(*batches: dict[str, Any], device: str = "cpu", process: int | None = 300 * MB) -> CostEntry:
    made = cost_entry()
    made["machine"]["device"] = device
    made["memory_bytes"] |= {"process": process, "batches": list(batches)}
    return CostEntry.model_validate(made)


WHOLE = (batch(8, 30 * MB), batch(16, 50 * MB), batch(32, 90 * MB))
PARTS = (batch(16, 30 * MB, 8), batch(32, 31 * MB, 8))


def test_the_two_largest_batches_give_the_line():
    # 40 MB for 16 images, so 2.5 MB each, 10 MB for none, and the process: (1,000 - 310) / 2.5
    assert largest_batches(entry(*WHOLE), 1000 * MB) == [LargestBatch(None, 276, 2.5 * MB)]
    assert largest_batches(entry(*WHOLE), 311 * MB) == [LargestBatch(None, 0, 2.5 * MB)]
    assert largest_batches(entry(*WHOLE), 200 * MB) == [LargestBatch(None, 0, 2.5 * MB)]


def test_micro_batches_fit_with_any_batch_or_with_none():
    assert largest_batches(entry(*WHOLE, *PARTS), 331 * MB)[1] == LargestBatch(8, None, 0.0)
    assert largest_batches(entry(*WHOLE, *PARTS), 330 * MB)[1] == LargestBatch(8, 0, 0.0)


def test_an_accelerators_memory_holds_no_process():
    assert largest_batches(entry(*WHOLE, device="Example GPU"), 1000 * MB) == [LargestBatch(None, 396, 2.5 * MB)]


@pytest.mark.parametrize(
    "unknown",
    [
        entry(),
        entry(*WHOLE, process=None),
        entry(batch(32, 90 * MB)),
        entry(batch(8, None), batch(16, None), batch(32, 90 * MB)),
        entry(batch(16, 90 * MB), batch(32, 90 * MB)),
    ],
    ids=["an older entry", "no process", "one batch", "one known", "no slope"],
)
def test_what_two_batches_do_not_tell_is_not_told(unknown):
    assert largest_batches(unknown, 1000 * MB) == []
