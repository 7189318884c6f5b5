"""What can be known of a grid before anything is trained, and refuses nothing. Needs torch.

Networks that cannot run, claims that cannot be tested, memory that will not suffice: `plan` warns of them, and a
run trains the rest.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from nin_bench.cost import Parts, check_pass, count_memory, count_model
from nin_bench.data import class_names, count_images, describe_data
from nin_bench.errors import SpecError
from nin_bench.grid import Grid, Variant
from nin_bench.metrics import METRICS
from nin_bench.models import ImageSpec, build_model
from nin_bench.models.in_shape import build_in_shape
from nin_bench.models.registry import model_function
from nin_bench.training.evaluation import TOP
from nin_bench.training.progress import ESCAPE_WINDOW


@dataclass(frozen=True)
class CheckedNetwork:
    """What a network showed that was built and passed through, in shape only."""

    failure: str | None = None
    """Why it cannot be trained."""
    num_values: int = 0
    """What its layers read and write for one image."""


def check_variants(variants: Iterable[Variant], data_dir: Path | None) -> dict[str, CheckedNetwork]:
    """The networks of variants, by label.

    Each distinct one is passed through once as it is counted, and once in training with the smallest batch of an
    epoch.
    """
    known: dict[object, CheckedNetwork] = {}
    found = {}
    for variant in variants:
        image = describe_data(variant.data, data_dir)
        smallest = _smallest_batch(variant, data_dir)
        key = (repr(variant.model.identity()), image, smallest)
        if key not in known:
            known[key] = _check_network(variant, image, smallest)
        found[variant.label] = known[key]
    return found


def _smallest_batch(variant: Variant, data_dir: Path | None) -> int:
    recipe, num_images = variant.recipe, count_images(variant.data, data_dir)[0]
    smallest = num_images % recipe.batch_size or min(recipe.batch_size, num_images)
    return smallest % (recipe.fixed_micro_batch or smallest) or min(recipe.fixed_micro_batch or smallest, smallest)


def _check_network(variant: Variant, image: ImageSpec, num_images: int) -> CheckedNetwork:
    try:
        counted = count_model(variant.model.name, image, **variant.model.arguments)
    except SpecError as error:
        return CheckedNetwork(error.message)
    num_values = sum(layer.num_values for layer in counted.layers)
    network = build_in_shape(variant.model.name, image, **variant.model.arguments).train()
    before = Parts.of(network)
    with torch.device("meta"):
        images = torch.empty(num_images, image.channels, image.resolution, image.resolution)
        try:
            check_pass(network, before, network(images), num_images, image)
        except SpecError as error:
            return CheckedNetwork(f"in training it {error.message}", num_values)
        except Exception:
            pass  # it looks at values, which shapes alone do not have
    return CheckedNetwork(None, num_values)


def network_warnings(
    variants: Iterable[Variant], networks: Mapping[str, CheckedNetwork], data_dir: Path | None
) -> Iterator[str]:
    """A sentence for each variant whose network cannot be trained, or has what `doubt_notes` tells."""
    for label, network in networks.items():
        if why := network.failure:
            yield f"warning: {label} cannot be trained, so that its cells will fail, and no others: {why}"
    yield from doubt_notes(variants, data_dir)


def doubt_notes(variants: Iterable[Variant], data_dir: Path | None) -> Iterator[str]:
    """A sentence for each variant with a network of one's own whose numbers would not mean what they seem to.

    Each distinct network is built twice, and passed some random images, with values.
    """
    known: dict[object, str | None] = {}
    for variant in variants:
        name, image = variant.model.name, describe_data(variant.data, data_dir)
        if "/" in name or model_function(name).__module__.startswith("nin_bench."):
            continue
        key = (repr(variant.model.identity()), image, variant.recipe.init)
        if key not in known:
            known[key] = None
            with suppress(Exception):  # one that cannot run is told of elsewhere
                known[key] = _doubt(variant, image)
        if (why := known[key]) is not None:
            yield f"warning: {variant.label}: {why}"


def _doubt(variant: Variant, image: ImageSpec) -> str | None:
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        sums = []
        for seed in (0, 1):
            torch.manual_seed(seed)
            network = build_model(variant.model.name, image, **variant.model.arguments).eval()
            sums.append([weight.sum().item() for weight in network.parameters()])
        images = torch.randn(3, image.channels, image.resolution, image.resolution)
        scores, again, alone = (network(some.clone()).float().clone() for some in (images, images, images[:1]))
    tolerance = 1e-4 * scores.abs().max().item()
    if not scores.allclose(again, 0, tolerance):
        return "its answers in evaluation are random; a dropout function needs training=self.training"
    if not scores[:1].allclose(alone, 0, tolerance):
        return "its answer to an image depends on the other images of a batch, also in evaluation"
    if bool((scores >= 0).all()) and scores.sum(1).allclose(torch.ones(3)):
        return "it returns probabilities, and is trained as if they were logits; leave out its softmax"
    if sums[0] == sums[1] and variant.recipe.init == "default":
        return "its first weights are the same with every seed, so that the spread over seeds leaves them out"
    return None


def untestable_claims(grid: Grid, device: str, data_dir: Path | None) -> dict[str, str]:
    """The hypotheses whose metric no cell will have, by id, and why."""
    variants = {variant.label: variant for variant in grid.variants}
    found = {}
    for hypothesis in grid.hypotheses:
        for label in hypothesis.compared_labels:
            if why := _why_unknown(hypothesis.metric, grid.target, variants[label], device, data_dir):
                found[hypothesis.id] = f"not testable: {why}"
    return found


def _why_unknown(
    metric: str, target: float | None, variant: Variant, device: str, data_dir: Path | None
) -> str | None:
    train, validation, _ = count_images(variant.data, data_dir)
    num_steps = -(-train // variant.recipe.batch_size) * variant.recipe.epochs
    field = METRICS[metric].record or ""
    if metric == "target_epoch" and target is None:
        return "the grid has no target, an accuracy such as target: 0.85"
    if (field.startswith("validation_") or metric == "target_epoch") and validation == 0:
        return f"{variant.label} has no validation images (data.validation_size is 0)"
    if field in ("escaped", "escape_epoch") and num_steps < ESCAPE_WINDOW:
        return f"{variant.label} trains {num_steps} steps, and an escape is told by the mean of {ESCAPE_WINDOW}"
    if metric == "test_top5_accuracy" and (count := len(class_names(variant.data, data_dir))) <= TOP:
        return f"{variant.label} has {count} classes, so that five guesses are always right"
    if METRICS[metric].unit == "joules" and not device.startswith("cuda"):
        return f"no energy is measured on {device}"
    return None


def largest_memory(
    variants: Iterable[Variant], networks: Mapping[str, CheckedNetwork], device: str, data_dir: Path | None
) -> tuple[str, int] | None:
    """The label of the variant whose training takes the most memory, and how many bytes its tensors take at once.

    Only one is counted by the formula, that which reads and writes the most values in a batch; None where no
    network can be trained, or where it looks at values.
    """

    def num_values(variant: Variant) -> int:
        recipe = variant.recipe
        return networks[variant.label].num_values * (recipe.fixed_micro_batch or recipe.batch_size)

    largest = max(variants, key=num_values, default=None)
    if largest is None or not networks[largest.label].num_values:
        return None
    recipe = largest.recipe.model_copy(update={"compile": False})
    with suppress(SpecError):
        image = describe_data(largest.data, data_dir)
        formula = count_memory(largest.model.name, image, recipe, device=device, **largest.model.arguments)
        return largest.label, formula.train_peak(recipe.batch_size)
    return None
