"""Where benchmarks run: in a fresh process, or in workers as a run has them; and what they let workers do."""

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from nin_bench.cell import Cell, DataSpec
from nin_bench.cost.timers import StepTimer
from nin_bench.data import describe_data
from nin_bench.data.dataset import load_dataset
from nin_bench.executors import Channel, Ended, LocalExecutor, Slot, Task
from nin_bench.runner.session import PRELOAD
from nin_bench.runner.worker import prepare_process
from nin_bench.training.evaluation import Images, StoppedError
from nin_bench.training.trainer import Chance, Trainer, make_network


def in_fresh_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call it where nothing has been set, imported or started before."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def in_workers(
    slots: Sequence[Slot], function: Callable[..., Any], *arguments: Any, times: int | None = None
) -> list[Any]:
    """Call it in all slots at once, each time in a process of its own, and return what each answered."""
    tasks = [Task(str(number), function, arguments) for number in range(times or len(slots))]
    events = LocalExecutor(slots, preload=PRELOAD).run(lambda slot: tasks.pop() if tasks else None)
    ends = [event for event in events if isinstance(event, Ended)]
    assert all(end.how == "returned" for end in ends), [end.output for end in ends]
    return [end.result for end in ends]


def take_batches(channel: Channel, slot: Slot, spec: DataSpec, num_images: int, seconds: float) -> float:
    """Take batches for so long after one to warm up; images per second."""
    prepare_process(slot)
    dataset = load_dataset(spec, None)
    batches = dataset.batches(slot.device)
    order = torch.randperm(len(batches)).split(num_images)
    batches.take(order[0])
    num_taken, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        num_taken += len(batches.take(order[num_taken // num_images % (len(order) - 1)])[1])
    return num_taken / passed


def read_pictures(channel: Channel, slot: Slot, spec: DataSpec, data_dir: Path) -> dict[str, int]:
    """Take every training image once, as a cell does; the bytes read, and held in memory, for it."""
    prepare_process(slot)
    before = process_bytes()
    batches = load_dataset(spec, data_dir).batches(slot.device)
    for part in torch.arange(len(batches)).split(250):
        batches.take(part)
    after = process_bytes()
    return {name: after[name] - before[name] for name in after}


def process_bytes() -> dict[str, int]:
    """What this process has read by system calls, and what it holds in memory, alone and together with others."""
    lines = [line for name in ("io", "smaps_rollup") for line in Path("/proc/self", name).read_text().splitlines()]
    pairs = [line.split()[:2] for line in lines]
    found = {key.rstrip(":"): value for key, value in pairs}
    kib = {name: int(found[name]) * 1024 for name in ("Rss", "Anonymous")}
    return {"read": int(found["rchar"]), "alone": kib["Anonymous"], "shared": kib["Rss"] - kib["Anonymous"]}


def train_bare(channel: Channel, slot: Slot, cells: Sequence[Cell]) -> float:
    """Train cells of one dataset one after another and evaluate them, nothing else; seconds after the first."""
    prepare_process(slot)
    spec = cells[0].data
    image, dataset = describe_data(spec, None), load_dataset(spec, None)
    batches, test = dataset.batches(slot.device), dataset.test_batches(slot.device)
    ends = []
    for cell in cells:
        indices, _ = dataset.split(spec.train_size, spec.validation_size or 0, cell.seed)
        chance = Chance.of(dataset.labels[indices])
        model = make_network(cell, image, torch.device(slot.device))
        trainer = Trainer(model, cell.recipe, Images(batches, indices), seed=cell.seed, chance_loss=chance.loss)
        for _ in range(cell.recipe.epochs):
            trainer.run_epoch()
        trainer.evaluate(trainer.train)
        trainer.evaluate(Images(test, torch.arange(len(test))))
        ends.append(time.perf_counter())
    return ends[-1] - ends[0]


def compare_steps(channel: Channel, slot: Slot, cell: Cell, num_steps: int, rounds: int) -> dict[str, float]:
    """Processor seconds of a step: bare on a batch that lies ready, as a run takes it, and those of its parts."""
    prepare_process(slot)
    spec = cell.data
    image, dataset = describe_data(spec, None), load_dataset(spec, None)
    indices, _ = dataset.split(spec.train_size, spec.validation_size or 0, cell.seed)
    batches, device = dataset.batches(slot.device), torch.device(slot.device)
    trainer, bare = (
        Trainer(
            make_network(cell, image, device),
            cell.recipe,
            Images(batches, indices),
            seed=cell.seed,
            chance_loss=2.3,
        )
        for _ in range(2)
    )
    ready = batches.take(indices[: cell.recipe.batch_size])
    bare.model.train()
    found: dict[str, list[float]] = {"bare": [], "whole": []}
    for number in range(1 + rounds):  # the first warms up
        for name, act in (
            ("bare", lambda: [_bare_step(bare, *ready) for _ in range(num_steps)]),
            ("whole", lambda: _some_steps(trainer, num_steps)),
        ):
            began = time.process_time()
            act()
            if number:
                found[name].append((time.process_time() - began) / num_steps)
    parts = StepTimer(trainer, ProcessorClock())
    with parts:
        _some_steps(trainer, num_steps)
    seconds = {part: taken / num_steps for part, taken in parts.seconds.items()}
    named = {
        "images": seconds["data"],
        "forward and loss": seconds["forward"],
        "backward": seconds["backward"],
        "optimizer": seconds["optimizer"],
    }
    middle = {name: statistics.median(taken) for name, taken in found.items()}
    return middle | named | {"the rest": max(0.0, middle["whole"] - sum(named.values()))}


class ProcessorClock:
    """Of processor time, which other people's load disturbs less."""

    def mark(self) -> float:
        return time.process_time()

    def between(self, earlier: float, later: float) -> float:
        return later - earlier


def _bare_step(trainer: Trainer, images: torch.Tensor, labels: torch.Tensor) -> None:
    trainer.optimizer.zero_grad(set_to_none=True)
    with trainer.autocast():
        logits = trainer.model(images)
    torch.nn.functional.cross_entropy(logits.float(), labels).backward()
    trainer.optimizer.step()


def _some_steps(trainer: Trainer, num_steps: int) -> None:
    """As many steps of an epoch as a run takes them, which ends early or begins again."""
    left = num_steps

    def is_enough() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    while left > 0:
        with suppress(StoppedError):
            trainer.run_epoch(is_enough)
