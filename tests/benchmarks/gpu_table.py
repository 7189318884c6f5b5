"""`make bench-gpu`: how fast an accelerator trains, in one table, within nine minutes and without a network.

    python -m tests.benchmarks.gpu_table --out FOLDER [--device cuda:0] [--tiny]

The notebooks' loop as written beside the training of a run, for NiN at 224×224; and small networks alone, side by
side in processes, and batched in one. Everything has a process of its own. FOLDER gets `gpu.json`, all figures
raw, written anew after each line, so that nothing is lost if the time is over.
"""

import argparse
import importlib.util
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nin_bench.catalog import RegistryCatalog
from nin_bench.cell import Cell, DataSpec, Recipe
from nin_bench.cost.ceilings import Ceilings
from nin_bench.environment import environment_of
from nin_bench.executors import Slot
from nin_bench.runner.session import choose_slots
from tests.benchmarks import gpu_figures, lightning_loop, notebooks_loop
from tests.benchmarks.bench_processes import in_fresh_process, in_workers
from tests.benchmarks.gpu_figures import Trained
from tests.installed import has_fashion_mnist

READY_SECONDS = 30.0
"""After which all processes that train side by side are taken to be ready."""


MAX_SECONDS = 480.0
"""After which no further line is begun."""


@dataclass(frozen=True)
class Setting:
    """How much is trained."""

    seconds: float = 8.0
    """Of each line."""
    resolution: int = 224
    batch_size: int = 128
    loop_steps: int = 60
    """Of the notebooks' loop."""
    side_by_side: int = 4
    batched: int = 16
    ready_seconds: float = READY_SECONDS
    compiles: bool = True


TINY = Setting(
    seconds=0.05,
    resolution=67,
    batch_size=16,
    loop_steps=1,
    side_by_side=2,
    batched=2,
    ready_seconds=0.0,
    compiles=False,
)


@dataclass(frozen=True)
class Line:
    """One line of the table; None is not measured."""

    what: str
    images_per_second: float
    to_first: float
    """Times the first line of its network."""
    mfu: float | None = None
    memory_bytes: int | None = None
    """The most that an allocator gave out, all processes together."""
    joules_per_image: float | None = None


def cells_of(
    name: str, data: dict[str, Any], num_seeds: int, arguments: dict[str, Any], **recipe: Any
) -> list[Cell]:
    """Seeds of one variant on clothes, or on digits where those are not installed."""
    catalog = RegistryCatalog()
    source = "fashion_mnist" if has_fashion_mnist() else "digits"
    return [
        Cell(
            model=catalog.resolve_model(name, arguments),
            data=catalog.resolve_data(DataSpec(name=source, **data)),
            recipe=Recipe(lr=1e-3, init="kaiming_normal", **recipe),
            seed=seed,
        )
        for seed in range(num_seeds)
    ]


class Table:
    """The lines so far, printed and written as they come."""

    def __init__(self, slot: Slot, setting: Setting, folder: Path) -> None:
        self.slot = slot
        self.setting = setting
        self.path = folder / "gpu.json"
        self.lines: list[Line] = []
        self.failures: dict[str, str] = {}
        self.ends_at = time.monotonic() + MAX_SECONDS
        (self.ceilings,) = in_workers([slot], gpu_figures.ceilings)
        folder.mkdir(parents=True, exist_ok=True)

    def print_head(self) -> None:
        ceilings: Ceilings = self.ceilings
        device = environment_of(self.slot.device)["device"]
        fp32, bf16 = ceilings.fp32_flops_per_second / 1e12, ceilings.bf16_flops_per_second / 1e12
        copied = ceilings.copy_bytes_per_second / 1e9
        print(
            f"{device}: fastest products {fp32:.1f} TFLOP/s in fp32, {bf16:.1f} in bf16, copies {copied:,.0f} GB/s"
        )
        print()
        print("| training | images/s | times the first | MFU | memory | J/image |")
        print("|---|---:|---:|---:|---:|---:|")

    def add(self, what: str, train: Callable[[], list[Trained]], first: str, precision: str = "") -> None:
        """Train, and add a line; what fails is told, and nothing else.

        Args:
            what: is trained.
            train: gives what each process trained.
            first: the line that this one is compared with.
            precision: of the ceiling that it is held against.
        """
        try:
            if time.monotonic() > self.ends_at:
                raise TimeoutError("the time was over")
            done = train()
        except Exception as failure:
            told = " ".join(str(failure).split())[-300:]
            self.failures[what] = f"{type(failure).__name__}: {told}"
            print(f"| {what} | failed: {self.failures[what]} | | | | |", flush=True)
        else:
            self._add(what, done, first, precision)
        content = {
            "environment": environment_of(self.slot.device),
            "setting": asdict(self.setting),
            "ceilings": asdict(self.ceilings),
            "lines": [asdict(line) for line in self.lines],
            "failures": self.failures,
        }
        self.path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def _add(self, what: str, done: Sequence[Trained], first: str, precision: str) -> None:
        speed = sum(one.images_per_second for one in done)
        by_name = {line.what: line.images_per_second for line in self.lines}
        ceiling = getattr(self.ceilings, f"{precision}_flops_per_second", None)
        joules = [one.joules_per_image for one in done if one.joules_per_image is not None]
        memory = [one.memory_bytes for one in done if one.memory_bytes is not None]
        line = Line(
            what=what,
            images_per_second=speed,
            to_first=speed / by_name.get(first, speed),
            mfu=None if ceiling is None else speed * done[0].flops_per_image / ceiling,
            memory_bytes=sum(memory) if len(memory) == len(done) else None,
            # A counter is the device's: what others beside it took is in it, so that only one alone can tell.
            joules_per_image=joules[0] if len(joules) == len(done) == 1 else None,
        )
        self.lines.append(line)
        shown = [
            f"{line.images_per_second:,.0f}",
            f"{line.to_first:.2f}×",
            "" if line.mfu is None else f"{100 * line.mfu:.1f} %",
            "" if line.memory_bytes is None else f"{line.memory_bytes / 2**30:.2f} GiB",
            "" if line.joules_per_image is None else f"{line.joules_per_image:.3g}",
        ]
        print(f"| {what} | {' | '.join(shown)} |", flush=True)


def run(device: str, setting: Setting, folder: Path) -> Table:
    """Measure everything on the first device of a kind."""
    slot = choose_slots(device, 1)[0]
    table = Table(slot, setting, folder)
    table.print_head()
    _add_large(table)
    small = {"resolution": 131} if setting != TINY else {"resolution": 67}
    _add_small(table, "LeNet, 28×28, batch 128", "lenet", {"resolution": 28}, {"activation": "relu"}, 128, "fp32")
    arguments = {"width": 0.25}
    _add_small(table, "NiN, a quarter of the width, batch 32", "nin", small, arguments, 32, "bf16")
    return table


def _add_large(table: Table) -> None:
    """NiN at the notebooks' size: their loop, Lightning's where it is installed, and a run's."""
    setting, slot = table.setting, table.slot
    data = {"resolution": setting.resolution}
    name = cells_of("nin", data, 1, {})[0].data.name
    first = f"NiN, {setting.resolution}×{setting.resolution}, batch {setting.batch_size}: the notebooks' loop"
    shape = (name, setting.resolution, setting.batch_size, setting.loop_steps)

    def loop(train: Callable[..., notebooks_loop.LoopSpeed]) -> list[Trained]:
        speed = in_fresh_process(train, *shape, None, slot.device)
        return [Trained(speed.images_per_second, 0, None, None)]

    table.add(first, lambda: loop(notebooks_loop.train), first)
    if importlib.util.find_spec("lightning"):
        table.add("… Lightning, tuned", lambda: loop(lightning_loop.train), first)
    ways: list[tuple[str, dict[str, Any]]] = [
        ("fp32", {"precision": "fp32"}),
        ("bf16", {"precision": "bf16"}),
        *([("bf16, compiled", {"precision": "bf16", "compile": True})] if setting.compiles else []),
    ]
    for what, changes in ways:
        cells = cells_of("nin", data, 1, {}, batch_size=setting.batch_size, **changes)
        arguments = (cells, setting.seconds, 0.0)
        table.add(
            f"… a run's step, {what}",
            lambda arguments=arguments: in_workers([slot], gpu_figures.train_alone, *arguments),
            first,
            changes["precision"],
        )


def _add_small(
    table: Table,
    what: str,
    name: str,
    data: dict[str, Any],
    arguments: dict[str, Any],
    batch_size: int,
    precision: str,
) -> None:
    """A network too small to keep an accelerator busy: alone, side by side, and batched."""
    setting, slot = table.setting, table.slot
    cells = cells_of(name, data, setting.batched, arguments, batch_size=batch_size, precision=precision)
    slots = [Slot(slot.device) for _ in range(setting.side_by_side)]

    def begin() -> float:
        return time.monotonic() + setting.ready_seconds

    first = f"{what}: alone"
    table.add(
        first,
        lambda: in_workers([slot], gpu_figures.train_alone, cells, setting.seconds, 0.0),
        first,
        precision,
    )
    table.add(
        f"… {len(slots)} processes side by side",
        lambda: in_workers(slots, gpu_figures.train_alone, cells, setting.seconds, begin()),
        first,
        precision,
    )
    table.add(
        f"… {len(cells)} seeds batched in one process",
        lambda: in_workers([slot], gpu_figures.train_batched, cells, setting.seconds, 0.0),
        first,
        precision,
    )


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder that gpu.json is written to")
    parser.add_argument("--device", default="auto", help="auto, cpu, or a torch device such as cuda:0")
    parser.add_argument("--tiny", action="store_true", help="at sizes that measure nothing")
    options = parser.parse_args()
    table = run(options.device, TINY if options.tiny else Setting(), options.out)
    print(f"\nfigures: {table.path}")
    raise SystemExit(1 if table.failures else 0)


if __name__ == "__main__":
    main()
