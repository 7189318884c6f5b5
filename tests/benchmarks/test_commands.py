"""Processor time of commands, each a fresh process: about what one takes where nothing else is running."""

import resource
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

from nin_bench.catalog import RegistryCatalog
from nin_bench.grid import Grid
from nin_bench.results import load_results
from tests.benchmarks.figures import Size
from tests.report_fixture import learning, metrics, record, write_results

ROOT = Path(__file__).parent.parent.parent
MANY = """
schema: 1
name: many
data: {{name: digits, resolution: 224}}
seeds: {num_seeds}
models: [{{name: nin, width: {widths}, head: [gap, fc]}}]
"""


def cpu_seconds(*arguments: str) -> float:
    """User and system time of a Python process and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


@pytest.fixture
def many(size: Size, tmp_path: Path) -> Path:
    """A grid of 10,000 cells over fifty networks of their own."""
    path = tmp_path / "many.yaml"
    widths = [number / 25 for number in range(1, 1 + size.many_variants // 2)]
    path.write_text(MANY.format(num_seeds=size.many_seeds, widths=widths))
    return path


@pytest.fixture(scope="module")
def many_records(size: Size, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with 10,000 records of twelve epochs each."""
    variants = {
        f"nin pointwise={number % 5} width={number // 5}": [
            record(metrics=metrics(0.8 + 0.001 * number + 0.0001 * seed), history=learning(12, 0.8, seed))
            for seed in range(size.many_seeds)
        ]
        for number in range(size.many_variants)
    }
    return write_results(tmp_path_factory.mktemp("many") / "results", variants)


@pytest.mark.parametrize("command", ["--help", "status results/reference/onexone/cpu", "schema"])
def test_start(benchmark, tell, size: Size, command: str):
    seconds: list[float] = []
    benchmark.pedantic(
        lambda: seconds.append(cpu_seconds("-m", "nin_bench", *command.split())), rounds=1 + size.rounds
    )
    # One more came before them, since it may have compiled the modules.
    tell(f"`{command.split()[0]}`, processor time", median(seconds[-size.rounds :]), "s", "≤ 0.4 s")


def test_plan(in_turn, tell, size: Size, many: Path, tmp_path: Path):
    command = ("-m", "nin_bench", "plan", "--json", "--yes", "--device", "cpu", "--results", str(tmp_path))
    rounds = in_turn(
        lambda: cpu_seconds("-c", "import torch"),
        lambda: cpu_seconds(*command, "--grid", str(many)),
        size.rounds,
    )
    cells = f"{size.many_variants * size.many_seeds:,} cells over {size.many_variants} networks"
    what = f"`plan`, {cells}, processor time beyond `import torch`"
    tell(what, median(ours - torch_alone for torch_alone, ours in rounds), "s", "≤ 2 s")


def test_report(benchmark, tell, size: Size, many_records: Path, tmp_path: Path):
    seconds = benchmark.pedantic(
        cpu_seconds, args=("-m", "nin_bench", "report", str(many_records), "--out", str(tmp_path)), rounds=1
    )
    tell(f"`report`, {size.many_variants * size.many_seeds:,} records, processor time", seconds, "s", "≤ 15 s")


@pytest.mark.benchmark(group="10,000 cells")
def test_read_records(benchmark, many_records: Path):
    benchmark.pedantic(load_results, args=(many_records,), rounds=2)


@pytest.mark.benchmark(group="10,000 cells")
def test_expand(benchmark, many: Path):
    benchmark.pedantic(lambda: Grid.load(many, RegistryCatalog(), allow_many=True).resolved("cpu"), rounds=2)
