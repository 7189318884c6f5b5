"""What a measuring process is asked for and what it answers."""

from dataclasses import dataclass

from nin_bench.cell import Cell, Recipe
from nin_bench.cost.clocks import LayerSeconds
from nin_bench.cost.counters import Load

_FREE_FIELDS = (
    "epochs", "lr", "schedule", "warmup_epochs", "step_epochs", "step_factor", "init", "init_std",
    "test_every_epoch",
)  # fmt: skip
"""Of a recipe: what changes no step's cost."""


@dataclass(frozen=True)
class Workload:
    """How much one sample of a variant times. As much goes before each phase to warm up, of steps one."""

    num_steps: int
    images_per_step: int
    """The batch; fewer of its micro-batches where the whole takes longer than a phase should."""
    num_predict_images: int
    num_latencies: int
    """Single images, predicted one by one."""
    num_layer_images: int
    """In each pass that times the layers."""


@dataclass(frozen=True)
class Rehearsal:
    """What is known of a variant before its rounds."""

    workload: Workload
    num_threads: int
    process_bytes: int | None
    """RunSession by a worker that has its images, and its libraries awake, before it builds a network."""
    train_peak_bytes: int | None
    """Of a step with the whole batch, above that; None where the system does not tell."""
    predict_peak_bytes: int | None
    """Of an evaluation, likewise."""


@dataclass(frozen=True)
class BatchSize:
    """How many images a training step passes, in all and at once."""

    batch_size: int
    micro_batch: int | None
    """None where the batch passes whole."""
    peak_foretold: int
    """Bytes that the step holds at most, by the formula."""


@dataclass(frozen=True)
class Speed:
    """Throughput of one process."""

    train_images_per_second: float
    predict_images_per_second: float


@dataclass(frozen=True)
class Sample:
    """What one process measured while nothing else of ours was running."""

    startup_seconds: float
    """From asking for the process until its first step."""
    ready_seconds: float
    """From there until it had warmed up."""
    speed: Speed
    step_seconds: dict[str, float]
    """Of one batch: `data`, `forward`, `backward`, `optimizer`."""
    latency_seconds: list[float]
    """One image in, its class out, again and again."""
    layers: dict[str, LayerSeconds]
    train_joules_per_image: float | None
    predict_joules_per_image: float | None
    load: Load


def cost_identity(cell: Cell) -> str:
    """Equal for cells that cost the same, because they differ in nothing that changes a step or a prediction."""
    free = {field: getattr(Recipe(), field) for field in _FREE_FIELDS}
    recipe = cell.recipe.model_copy(update=free)
    return cell.model_copy(update={"recipe": recipe, "seed": 0}).cell_id
