import time
from pathlib import Path

import pytest
import torch

from nin_bench.cost.counters import LoadWatch, energy_counter

CPU = torch.device("cpu")


def packages(folder: Path, *microjoules: int) -> None:
    """RAPL's files as the kernel lays them out: each package, and a part of it that must not count again."""
    for number, energy in enumerate(microjoules):
        for name, value in ((f"intel-rapl:{number}", energy), (f"intel-rapl:{number}:0", 10**9)):
            zone = folder / name
            zone.mkdir(parents=True, exist_ok=True)
            (zone / "energy_uj").write_text(f"{value}\n")
            (zone / "max_energy_range_uj").write_text("1000000\n")


def test_energy_is_the_sum_over_the_packages_and_survives_a_counter_that_starts_again(tmp_path):
    packages(tmp_path, 100_000, 900_000)
    read = energy_counter(CPU, tmp_path)
    before = read()
    packages(tmp_path, 300_000, 200_000)  # 0.2 J, and 0.1 J to the end of the range and 0.2 J after it
    assert read() - before == pytest.approx(0.5)
    packages(tmp_path, 300_000, 250_000)
    assert read() - before == pytest.approx(0.55)


@pytest.mark.parametrize("content", [None, "no number"])
def test_energy_without_a_counter_that_can_be_read_is_not_known(tmp_path, content):
    if content is not None:
        packages(tmp_path, 1)
        (tmp_path / "intel-rapl:0" / "energy_uj").write_text(content)
    assert energy_counter(CPU, tmp_path)() is None
    assert energy_counter(torch.device("mps"), tmp_path)() is None


def test_load_is_in_shares_and_throttling_is_told_by_its_counters(tmp_path):
    count = tmp_path / "cpu0" / "thermal_throttle" / "core_throttle_count"
    count.parent.mkdir(parents=True)
    count.write_text("3\n")
    hot, cool = LoadWatch(CPU, tmp_path), LoadWatch(CPU, tmp_path / "nothing here")
    until = time.process_time() + 0.1
    while (
        time.process_time() < until
    ):  # so that the kernel's clock, which ticks a hundred times a second, moves on
        pass
    assert hot.load().throttled is False
    count.write_text("4\n")
    load = hot.load()
    assert load.throttled is True
    assert cool.load().throttled is None
    assert load.other_cpu_share is not None
    assert 0 <= load.other_cpu_share <= 1
    assert load.steal_share is None or 0 <= load.steal_share <= 1
