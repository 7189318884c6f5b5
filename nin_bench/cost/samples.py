"""What a measuring process answers."""

from dataclasses import dataclass

from nin_bench.cell import Cell, Recipe
from nin_bench.cost.timers import LayerSeconds
from nin_bench.results.cost_entry import Load, Workload

_FREE_FIELDS = (
    "epochs", "lr", "schedule", "warmup_epochs", "step_epochs", "step_factor", "init", "init_std",
    "test_every_epoch",
)  # fmt: skip
"""Fields of a recipe that change no step's cost."""


@dataclass(frozen=True)
class WarmUp:
    """What is known of a variant before its rounds."""

    workload: Workload
    num_threads: int
    process_bytes: int | None
    """Held by a worker that has its images, and its libraries awake, before it builds a network."""
    train_peak_bytes: int | None
    """The peak of a step with the whole batch, above `process_bytes`; None if the system does not tell."""
    predict_peak_bytes: int | None
    """The peak of an evaluation, above `process_bytes`; None if the system does not tell."""


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
    """The parts of a step with one batch: `data`, `forward`, `backward`, `optimizer`."""
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
