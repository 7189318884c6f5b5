"""Benchmarks, at sizes that measure nothing: they still run, and their table still names every target."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TARGETS = ["≥ 6×", "≥ 4×", "≥ 40 %", "≤ 3 %", "≤ 0.4 s", "≤ 2 s", "≤ 15 s"]


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
