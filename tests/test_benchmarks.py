"""Benchmarks, at sizes that measure nothing: they still run, and their table still names every target."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nin_bench.cost.ceilings import Ceilings
from nin_bench.executors import Slot
from tests.benchmarks import gpu_table
from tests.benchmarks.gpu_figures import Trained

ROOT = Path(__file__).parent.parent
CHEAP = [
    "/test_commands.py::test_start",
    "/test_commands.py::test_expand",
    "/test_steps.py::test_step[lenet-fp32]",
]
TARGETS = [
    "≥ 6×",
    "≥ 4×",
    "≥ 40 %",
    "≤ 3 %",
    "≤ 0.4 s",
    "≤ 2 s",
    "≤ 15 s",
    "≥ 1.6×",
    "< 49 %",
    "< 38 %",
    "≤ 0.2 s",
    "≤ 5 %",
    "≤ 5 ms",
]


@pytest.mark.parametrize(
    ("chosen", "targets"),
    [pytest.param(CHEAP, ["≤ 0.4 s"], id="cheap"), pytest.param([""], TARGETS, marks=pytest.mark.long, id="all")],
)
def test_benchmarks_run(chosen: list[str], targets: list[str]):
    places = [f"tests/benchmarks{one}" for one in chosen]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *places, "-o", "addopts=", "--benchmark-disable", "--tiny"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert all(f"| {target}" in done.stdout for target in targets), done.stdout


def test_a_line_of_an_accelerator_s_table_is_of_all_its_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gpu_table, "in_workers", lambda slots, function: [Ceilings(1e12, 2e12, 1e9)])
    table = gpu_table.Table(Slot("cpu"), gpu_table.TINY, tmp_path)
    alone, beside = (Trained(speed, 10**9, 2**30, joules_per_image=0.5) for speed in (100.0, 80.0))
    table.add("alone", lambda: [alone], "alone", "fp32")
    table.add("… side by side", lambda: [beside, beside], "alone", "fp32")
    table.add("… broken", lambda: [][0], "alone")
    written = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert [list(line.values()) for line in written["lines"]] == [
        ["alone", 100.0, 1.0, 0.1, 2**30, 0.5],
        ["… side by side", 160.0, 1.6, 0.16, 2**31, None],
    ]
    assert written["failures"] == {"… broken": "IndexError: list index out of range"}


@pytest.mark.long
def test_the_table_of_an_accelerator_is_made_on_a_cpu_too(tmp_path: Path):
    asked = ["-m", "tests.benchmarks.gpu_table", "--tiny", "--device", "cpu", "--out", str(tmp_path / "new")]
    done = subprocess.run([sys.executable, *asked], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads((tmp_path / "new" / "gpu.json").read_text(encoding="utf-8"))
    told = [line["what"] for line in written["lines"]]
    assert [line for line in told if line.startswith("…")][-2:] == [
        "… 2 processes side by side",
        "… 2 seeds batched in one process",
    ]
    assert all(f"| {what} |" in done.stdout for what in told)
    assert written["failures"] == {}
    for line in written["lines"]:
        assert line["images_per_second"] > 0
        assert line["mfu"] is None or 0 < line["mfu"] < 1
    assert {line["to_first"] for line in written["lines"] if ":" in line["what"]} == {1.0}
