"""From 28×28 bytes to batches as a network takes them: ours beside torchvision's transforms in a DataLoader."""

from statistics import median

from nin_bench.cell import DataSpec
from nin_bench.data import resolve_data
from nin_bench.runner.session import choose_slots
from tests.benchmarks import notebooks_loop
from tests.benchmarks.bench_processes import in_fresh_process, in_workers, take_batches
from tests.benchmarks.figures import Size


def test_batches_on_every_core_beside_a_data_loader(in_turn, tell, size: Size, data_name: str):
    slots = choose_slots("cpu", None)
    spec = resolve_data(DataSpec(name=data_name, resolution=size.resolution), None)

    def theirs() -> float:
        return in_fresh_process(
            notebooks_loop.load, data_name, size.resolution, size.batch_size, size.loaded_batches, len(slots)
        )

    def ours() -> float:
        return sum(in_workers(slots, take_batches, spec, size.micro_batch, size.seconds))

    rounds = in_turn(theirs, ours, size.rounds)
    where = f"{len(slots)} cores"
    tell(f"batches at {size.resolution}, {where}, to a DataLoader", median(b / a for a, b in rounds), "×", "≥ 4×")
    tell(
        f"… DataLoader with torchvision's transforms, {len(slots)} workers",
        median(a for a, _ in rounds),
        "images/s",
    )
    tell(f"… ours, {len(slots)} workers", median(b for _, b in rounds), "images/s")
