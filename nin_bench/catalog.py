"""Answer a grid's questions of models and data, and check that every network can be built. Needs torch."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from nin_bench.cell import DataSpec, ModelSpec, Recipe
from nin_bench.cost import count_model
from nin_bench.data import Watch, class_names, count_images, describe_data, resolve_data
from nin_bench.errors import SpecError
from nin_bench.estimates import ImageCounts
from nin_bench.grid import Grid, Variant
from nin_bench.grid.entries import Size
from nin_bench.grid.refusals import Refusals
from nin_bench.looks import check_looks, seeds_until_decided
from nin_bench.models import ImageSpec, model_arguments, model_revision, resolve_arguments
from nin_bench.models.code import code_digest, definition_digests
from nin_bench.models.in_shape import build_in_shape
from nin_bench.more_epochs import ShorterCells
from nin_bench.planning import ModelCode, PlannedCell, Shared, check_same_grid, drops_looks, plan_cells
from nin_bench.results import ResultsFolder
from nin_bench.training.trainer import check_micro_batch


@dataclass(frozen=True)
class RegistryCatalog:
    """Answers a grid's questions from the registry of models and the table of datasets."""

    data_dir: Path | None = None
    watch: Watch = lambda *_: None
    """Is told of the pictures that are read."""

    def resolve_model(self, name: str, arguments: Mapping[str, object]) -> ModelSpec:
        """The registered model with every argument typed and filled in; SpecError for a wrong one."""
        resolved = resolve_arguments(name, arguments)
        defaults = {key: argument.default for key, argument in model_arguments(name).items()}
        return ModelSpec(name=name, revision=model_revision(name), arguments=resolved, defaults=defaults)

    def resolve_data(self, spec: DataSpec) -> DataSpec:
        """The dataset with its resolution and validation size filled in; SpecError for a wrong one."""
        return resolve_data(spec, self.data_dir, self.watch)

    def class_names(self, data: DataSpec) -> Sequence[str]:
        """The names of a resolved dataset's classes, by number."""
        return class_names(data, self.data_dir)

    def count(self, model: ModelSpec, data: DataSpec, size: Size) -> int:
        """Parameters or MACs per image, as `count_model` counts them; SpecError where there is no such network."""
        image = describe_data(data, self.data_dir)
        if size == "num_macs":
            return count_model(model.name, image, **model.arguments).num_macs.total
        # Passing an image through, in shape only, loads what PyTorch compiles with, a second that this saves.
        network = build_in_shape(model.name, image, **model.arguments)
        return sum(weights.numel() for weights in network.parameters())

    def count_images(self, spec: DataSpec) -> ImageCounts:
        """The images of a resolved dataset, by their use."""
        return ImageCounts(*count_images(spec, self.data_dir))


def check_networks(variants: Iterable[Variant], data_dir: Path | None = None) -> None:
    """Build every distinct network, in shape only.

    Raises:
        InputError: a network cannot be built for its images (too small an input, a width that leaves no
            channel) or does not go with its recipe; it names file, line and column of the refused value.
            MultipleInputError of several.
    """
    refusals, told = Refusals(), set()
    for variant in _distinct_networks(variants):
        try:
            _check_network(variant, data_dir)
        except SpecError as error:
            if (error.field, error.message) not in told:
                told.add((error.field, error.message))
                refusals.add(variant.refused(error))
    refusals.raise_any()


def _check_network(variant: Variant, data_dir: Path | None) -> None:
    image = describe_data(variant.data, data_dir)
    model = build_in_shape(variant.model.name, image, **variant.model.arguments)
    _check_last_batch(model, image, variant.recipe, count_images(variant.data, data_dir)[0])
    check_micro_batch(model, variant.recipe)
    if variant.recipe.init != "default" and variant.model.arguments.get("weights") == "default":
        raise SpecError("init", f"{variant.recipe.init!r} would replace the trained weights; leave it out")


def _check_last_batch(model: nn.Module, image: ImageSpec, recipe: Recipe, num_images: int) -> None:
    """Refuse an epoch whose last batch has one image where batch normalisation then has one value of a channel.

    The network is passed through in shape only, on the meta device.
    """
    last = num_images % recipe.batch_size or min(recipe.batch_size, num_images)
    if last != 1:
        return
    try:
        with torch.device("meta"):
            model.train()(torch.empty(1, image.channels, image.resolution, image.resolution))
    except Exception as error:
        if "Expected more than 1 value per channel" in str(error):  # else it fails with any batch
            raise SpecError(
                "batch_size",
                f"{recipe.batch_size} leaves one of {num_images} images for an epoch's last batch, too few for "
                f"batch normalisation ({error}); choose another, or another train_size",
            ) from error


def _distinct_networks(variants: Iterable[Variant]) -> Iterator[Variant]:
    seen = set()
    for variant in variants:
        recipe = variant.recipe
        key = (repr(variant.model.identity()), variant.data, recipe.micro_batch, recipe.batch_size, recipe.init)
        if key not in seen:
            seen.add(key)
            yield variant


def model_code(grid: Grid, folder: ResultsFolder) -> dict[str, ModelCode]:
    """The code of a grid's models, by name, and what of it has changed since the folder's last run."""
    stored = folder.find_grid()
    found = {}
    for name in dict.fromkeys(variant.model.name for variant in grid.variants):
        today, earlier = definition_digests(name), {} if stored is None else stored.code.get(name, {})
        changed = [one for one in sorted({*today, *earlier}) if today.get(one) != earlier.get(one)]
        found[name] = ModelCode(code_digest(name), changed if earlier else ())
    return found


def load_plan(
    grid: Grid,
    folder: ResultsFolder,
    data_dir: Path | None = None,
    *,
    fresh: bool = False,
    code: Mapping[str, ModelCode] | None = None,
    shared: Shared | None = None,
    shorter: ShorterCells | None = None,
) -> list[PlannedCell]:
    """Check models and folder, then plan as `plan_cells` does; nothing is written.

    Raises:
        InputError: a network cannot be built for its images.
        ResultsError: the folder holds another grid, or its claims were looked at with more seeds.
    """
    check_networks(grid.variants, data_dir)
    check_same_grid(grid, folder)
    looks = None
    if grid.until_decided is not None:
        resolved = grid.resolved("cpu")
        if stored := folder.find_grid():
            taken = () if drops_looks(grid, fresh=fresh) else stored.looks
            kept = {"looks": taken, "lock": stored.lock, "earlier_locks": stored.earlier_locks}
            resolved = resolved.model_copy(update=kept)
            check_looks(resolved)
        looks = seeds_until_decided(resolved)
    return plan_cells(grid, folder, fresh=fresh, looks=looks, code=code, shared=shared, shorter=shorter)
