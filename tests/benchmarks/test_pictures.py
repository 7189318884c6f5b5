"""A folder of many pictures: what planning reads of it, and what its cells then read and hold."""

import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from PIL import Image

from nin_bench.cell import DataSpec
from nin_bench.data import resolve_data
from nin_bench.runner.session import choose_slots
from tests.benchmarks.bench_processes import in_fresh_process, in_workers, process_bytes, read_pictures
from tests.benchmarks.figures import Size

SPEC = DataSpec(name="image_folder", folder="many", resolution=64, resize="crop")


def write_pictures(data_dir: Path, number: int) -> int:
    """JPEGs of ten classes, a tenth of them to test with; their bytes in all."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (10, 12, 16, 3), np.uint8)
    for index in range(number):
        folder = data_dir / "many" / ("test" if index % 10 == 9 else "train") / str(index // 10 % 10)
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.roll(coarse[index // 10 % 10], index, axis=1)
        Image.fromarray(pixels).resize((160, 120)).save(folder / f"{index}.jpg")
    return sum(path.stat().st_size for path in data_dir.rglob("*.jpg"))


def plan(data_dir: Path) -> tuple[DataSpec, float, int]:
    """The resolved spec, seconds, and bytes read by system calls."""
    before, began = process_bytes()["read"], time.perf_counter()
    spec = resolve_data(SPEC, data_dir)
    return spec, time.perf_counter() - began, process_bytes()["read"] - before


@pytest.mark.skipif(sys.platform != "linux", reason="needs what Linux tells of a process in /proc")
def test_pictures_are_read_once_for_all_cells(benchmark, tell, size: Size, tmp_path: Path):
    num_bytes = write_pictures(tmp_path, size.pictures)
    time.sleep(0 if size.pictures < 1_000 else 2.5)  # files that changed a moment ago are not remembered
    _, first_seconds, first_read = in_fresh_process(plan, tmp_path)
    spec, again_seconds, again_read = in_fresh_process(plan, tmp_path)
    slots = choose_slots("cpu", None)
    cells = benchmark.pedantic(
        lambda: in_workers(slots, read_pictures, spec, tmp_path, times=size.picture_cells), rounds=1
    )
    where = f"{size.pictures:,} JPEGs"
    tell(f"{where}, read by the first plan, to their bytes", first_read / num_bytes, "×")
    tell("… by the next plan", again_read / num_bytes, "×")
    tell(f"… by {size.picture_cells} cells together", sum(cell["read"] for cell in cells) / num_bytes, "×")
    tell("… their bytes", num_bytes, "bytes")
    tell("… memory of a worker for them, its own", median(cell["alone"] for cell in cells), "bytes")
    tell("… memory of a worker for them, shared by all", median(cell["shared"] for cell in cells), "bytes")
    tell("… the first plan", first_seconds, "s")
    tell("… the next plan", again_seconds, "s")
