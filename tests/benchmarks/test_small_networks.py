"""What a run's step takes beside forward, backward and optimizer, for networks so small that it shows."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, median

import pytest
import yaml

from nin_bench.catalog import RegistryCatalog
from nin_bench.cell import Cell
from nin_bench.grid import Grid
from nin_bench.runner.session import choose_slots
from tests.benchmarks.bench_processes import compare_steps, in_workers
from tests.benchmarks.figures import Size
from tests.benchmarks.lightning_loop import small_steps

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def variants(name: str, profile: str, size: Size, data_name: str, folder: Path) -> list[Cell]:
    """A cell of each variant that a shipped grid's profile trains."""
    content = yaml.safe_load((EXPERIMENTS / f"{name}.yaml").read_text(encoding="utf-8"))
    if content["data"]["name"] != data_name:
        # Fewer images than clothes, and as large.
        content["data"]["name"] = "digits"
        for one in content.get("profiles", {}).values():
            one["data"] = {"resolution": one["data"]["resolution"]}
    path = folder / "grid.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    cells = {cell.variant_id: cell for cell in Grid.load(path, RegistryCatalog(), profile=profile).cells}
    return list(cells.values())[: size.small_variants]


@pytest.mark.benchmark(group="a run's step over the bare one")
@pytest.mark.parametrize(("name", "profile"), [("onexone", "cpu"), ("quickstart", "full")])
def test_what_a_step_adds(
    benchmark, tell: Callable[..., None], size: Size, data_name: str, tmp_path: Path, name: str, profile: str
):
    """Processor time, of bare steps and of a run's in turn, each variant in a worker of its own."""
    slots = choose_slots("cpu", 1)
    cells = variants(name, profile, size, data_name, tmp_path)

    def measure() -> list[dict[str, float]]:
        return [in_workers(slots, compare_steps, cell, size.small_steps, size.small_rounds)[0] for cell in cells]

    found = benchmark.pedantic(measure, rounds=1)
    added = [one["whole"] / one["bare"] - 1 for one in found]
    tell(
        f"{name}, {profile}: a step over the bare one, median of {len(cells)} variants",
        median(added),
        "share",
        "≤ 5 %",
    )
    tell("… the variant where it is the most", max(added), "share")
    for part in ("images", "forward and loss", "backward", "optimizer", "the rest"):
        tell(f"… {part}, of a whole step", fmean(one[part] / one["whole"] for one in found), "share")


@pytest.mark.benchmark(group="a run's step beside Lightning")
@pytest.mark.skipif(importlib.util.find_spec("lightning") is None, reason="needs lightning")
def test_a_step_beside_lightnings(in_turn, tell: Callable[..., None], size: Size, data_name: str, tmp_path: Path):
    """The first NiN of onexone's cpu profile: images per second of its loop and of a run's epoch."""
    slots = choose_slots("cpu", 1)
    cell = variants("onexone", "cpu", size, data_name, tmp_path)[0]

    def ours() -> float:
        steps = in_workers(slots, compare_steps, cell, size.small_steps, 1)[0]
        return cell.recipe.batch_size / steps["whole"]

    def theirs() -> float:
        return float(in_workers(slots, small_steps, cell, size.small_steps)[0])

    rounds = in_turn(theirs, ours, size.rounds)
    tell("a run's step to Lightning's, small NiN", median(b / a for a, b in rounds), "×", "≥ 1.05×")
