"""Benchmarks, at sizes that measure nothing: they still run, and their table still names every target."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TARGETS = ["≥ 6×", "≥ 4×", "≥ 40 %", "≤ 3 %", "≤ 0.4 s", "≤ 2 s", "≤ 15 s", "< 49 %", "< 38 %", "≤ 0.2 s", "≤ 5 %"]


def test_benchmarks_run():
    once = ["-o", "addopts=", "--benchmark-disable", "--tiny"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/benchmarks", *once],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert all(f"| {target}" in done.stdout for target in TARGETS), done.stdout


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
