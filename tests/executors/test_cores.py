import os
import subprocess
import sys

import pytest

from nin_bench.executors import Slot, claimed_cores
from tests.processes import linux

pytestmark = linux
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


@pytest.fixture(autouse=True)
def runtime(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def cores_of(count: int) -> list[int | None]:
    with claimed_cores([Slot("cpu") for _ in range(count)]) as slots:
        return [slot.core for slot in slots]


def test_each_worker_has_a_core_of_its_own():
    assert cores_of(len(CORES)) == CORES
    assert cores_of(1) == CORES[:1], "what was claimed is free again"
    assert cores_of(len(CORES) + 1) == [None] * (len(CORES) + 1)


def test_a_core_that_another_run_holds_is_left_to_it():
    with claimed_cores([Slot("cpu")]):
        others = cores_of(len(CORES))
    assert others == [*CORES[1:], None]


def test_a_claim_dies_with_its_holder(runtime):
    code = (
        "import os; from nin_bench.executors import Slot, claimed_cores\n"
        "with claimed_cores([Slot('cpu')]) as slots: print(slots[0].core, flush=True); os.read(0, 1)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert int(holder.stdout.readline()) == CORES[0]
    assert CORES[0] not in cores_of(len(CORES))
    holder.kill()
    holder.communicate()
    assert cores_of(1) == CORES[:1]


def test_without_a_runtime_folder_no_worker_is_pinned(monkeypatch, runtime):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime / "missing"))
    assert cores_of(1) == [None]
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert cores_of(1) == [None]
    (runtime / "nin_bench").write_text("no folder")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    assert cores_of(1) == [None]


def test_an_accelerator_needs_no_core():
    with claimed_cores([Slot("cuda:0")]) as slots:
        assert slots == [Slot("cuda:0")]
