"""How near training comes to what the processor can do."""

from pathlib import Path

from nin_bench.catalog import RegistryCatalog
from nin_bench.grid import Grid
from nin_bench.results import ResultsFolder
from nin_bench.runner.run import measure_grid
from nin_bench.runner.session import RunOptions
from tests.benchmarks.figures import Size

GRID = """
schema: 1
name: limit
data: {{name: {data_name}, resolution: {size.resolution}, train_size: {size.batch_size}, validation_size: 0}}
recipe: {{batch_size: {size.batch_size}, micro_batch: {size.micro_batch}, lr: 0.1, precision: bf16}}
seeds: 1
models: [{{name: nin}}]
"""


def test_nin_s_share_of_the_fastest_product(benchmark, tell, size: Size, data_name: str, tmp_path: Path):
    """As `measure` does it: in each round a fresh process that trains, and one for the ceilings; one core."""
    path = tmp_path / "grid.yaml"
    path.write_text(GRID.format(data_name=data_name, size=size))
    grid, options = Grid.load(path, RegistryCatalog()), RunOptions(device="cpu", num_rounds=size.rounds)
    summary = benchmark.pedantic(
        measure_grid, args=(grid, ResultsFolder(tmp_path / "results"), options, lambda event: None)
    )
    (cost,) = summary.costs
    assert cost.entry is not None
    assert cost.entry.error is None, cost.entry.error
    tell("MFU of training NiN, bf16, one worker", cost.entry.mfu.median, "share", "≥ 40 %, aim 60 %")
    tell("… it trains", cost.entry.train.images_per_second.median, "images/s")
    ceiling = max(cost.entry.ceilings["bf16_flops_per_second"].samples)  # of which the share is
    tell("… fastest matrix product or convolution, bf16", ceiling, "FLOP/s")
