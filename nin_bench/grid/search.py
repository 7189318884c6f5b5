"""The `search` section: which fields are searched, the same for every variant, and at what expense."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Literal

from nin_bench.cell import PositiveInt, Recipe, Scalar, Spec
from nin_bench.errors import SpecError
from nin_bench.grid.space import MODEL, Choice, Parameter, Range, read_parameter
from nin_bench.grid.validation import refusal, required, section, validated
from nin_bench.grid.variants import Catalog, Variant
from nin_bench.yaml_source import Node

FIRST_SEED = 10_000
"""Of a search: far from those of a run, so that a tuned recipe meets seeds that did not choose it."""
MAX_CORNERS = 4_096
"""Combinations of extreme values that are checked before anything is trained."""


class SearchSpec(Spec):
    """What is tried for every variant alike, and how the best is told."""

    space: tuple[Parameter, ...]
    """What is searched."""
    trials: PositiveInt
    """Of every variant, in all: a search that goes on does the rest."""
    seeds: PositiveInt = 1
    """Networks trained in every trial, whose mean is its value."""
    epochs: PositiveInt | None = None
    """Of every trial; null is as many as the run's, and fewer would favour rates that start fast."""
    sampler: Literal["grid", "qmc", "tpe", "random"] = "grid"
    """Who proposes values; `grid` takes the same evenly spaced ones for all variants."""
    sampler_seed: int = 0
    """Of every sampler but `grid`."""
    pruner: Literal["none", "median", "hyperband"] = "none"
    """Who ends a poor trial early; then variants spend different budgets."""
    objective: Literal["validation_accuracy", "validation_loss"] = "validation_accuracy"
    """What a trial is judged by, after its last epoch."""

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """Which way is better."""
        return "maximize" if self.objective == "validation_accuracy" else "minimize"

    def grid_points(self) -> list[dict[str, Scalar]]:
        """What the sampler `grid` tries: the product of choices and evenly spaced points, the last fastest.

        Raises:
            SpecError: of `trials` or `sampler`, where no such grid has as many points as there are trials.
        """
        ranges = [parameter for parameter in self.space if isinstance(parameter, Range)]
        combinations = math.prod(len(p.choices) for p in self.space if isinstance(p, Choice))
        if len(ranges) > 1:
            listed = " and ".join(parameter.name for parameter in ranges)
            raise SpecError(
                "sampler",
                f"'grid' has one range at most, but {listed} are ranges; list the values to try, or use qmc",
            )
        if not ranges and combinations != self.trials:
            raise SpecError(
                "trials", f"{self.trials}, but the choices have {combinations} combinations; use so many"
            )
        per_combination, rest = divmod(self.trials, combinations)
        if ranges and (rest or per_combination < 2):
            raise SpecError(
                "trials",
                f"{self.trials} gives no equal number of points, two or more, to each of {combinations} "
                f"combinations; use a multiple of {combinations} from {2 * combinations} on",
            )
        axes: list[Sequence[Scalar]] = []
        for parameter in self.space:
            points = parameter.points(per_combination) if isinstance(parameter, Range) else parameter.choices
            if len(set(points)) < len(points):
                raise SpecError(
                    "trials", f"{self.trials} is more than {parameter.name} has whole numbers; use fewer"
                )
            axes.append(points)
        names = [parameter.name for parameter in self.space]
        return [dict(zip(names, values, strict=True)) for values in product(*axes)]

    def corners(self) -> Iterator[dict[str, Scalar]]:
        """Every combination of extreme values and choices."""
        names = [parameter.name for parameter in self.space]
        for values in product(*(parameter.corners for parameter in self.space)):
            yield dict(zip(names, values, strict=True))

    def as_plain(self) -> dict[str, Any]:
        """As JSON has it, ranges and choices by name."""
        return {**self.model_dump(), "space": {parameter.name: parameter.as_plain() for parameter in self.space}}


def search_seeds(count: int, planned: Sequence[int]) -> tuple[int, ...]:
    """The seeds of a search: 10000 and on, or above the run's own where it plans one of those."""
    seeds = range(FIRST_SEED, FIRST_SEED + count)
    if any(seed in seeds for seed in planned):
        seeds = range(max(planned) + 1, max(planned) + 1 + count)
    return tuple(seeds)


def with_params(variant: Variant, params: Mapping[str, Scalar], catalog: Catalog) -> Variant:
    """A variant with other values for some fields of its recipe, and arguments of its model.

    Args:
        variant: the variant.
        params: by field, arguments as `model.dropout`.
        catalog: resolves arguments.

    Raises:
        SpecError: the values do not go with the variant's own.
    """
    arguments = {name.removeprefix(MODEL): value for name, value in params.items() if name.startswith(MODEL)}
    recipe = {name: value for name, value in params.items() if not name.startswith(MODEL)}
    model = variant.model
    if arguments:
        model = catalog.resolve_model(model.name, {**model.arguments, **arguments})
    return replace(variant, model=model, recipe=Recipe.model_validate({**variant.recipe.model_dump(), **recipe}))


def trial_variant(variant: Variant, params: Mapping[str, Scalar], spec: SearchSpec, catalog: Catalog) -> Variant:
    """A variant as a trial trains it: searched values over its own, a trial's epochs, and no test image seen.

    Raises:
        SpecError: the values do not go with the variant's own.
    """
    epochs = spec.epochs or variant.recipe.epochs
    return with_params(variant, {**params, "epochs": epochs, "test_every_epoch": False}, catalog)


def read_search(root: Node, over: Node, variants: Sequence[Variant], catalog: Catalog) -> SearchSpec | None:
    """Read the grid's `search`, and hold it against the variants; None where there is none.

    Args:
        root: the grid, its profile laid over it.
        over: the recipe that `--set` lays over everything, so that it cannot be searched.
        variants: each must go with every combination of extreme values.
        catalog: resolves arguments of the models.

    Raises:
        InputError: with the place of what is wrong.
    """
    if "search" not in root.value:
        return None
    node = section(root, "search")
    fields = dict(node.mapping("a search", SearchSpec.model_fields))
    space = required(node, "space")
    named = space.mapping("a space")
    parameters = {name: read_parameter(name, one, variants, catalog) for name, one in named.items()}
    if not parameters:
        raise space.error("empty; give at least one field, as lr: {low: 1.0e-3, high: 1.0, log: true}")
    for name, override in over.value.items():
        if name in parameters:
            raise override.error(f"{name} is searched; set another field, or leave {name} out of search.space")
    fields["space"] = replace(space, value=tuple(parameters.values()))
    spec = validated(SearchSpec, fields, node)
    if spec.sampler == "grid":
        try:
            spec.grid_points()
        except SpecError as error:
            raise refusal(error, fields, node) from error
    _check_patterns(root, parameters)
    for name in parameters if any(variant.match for variant in variants) else ():
        if name.startswith(MODEL):
            raise named[name].key_error(
                f"{name} would change networks that match holds equal in size; leave it, or match, out"
            )
    _check_variants(spec, space, variants, catalog)
    return spec


def _check_patterns(root: Node, searched: Mapping[str, Parameter]) -> None:
    """No variant can be told by what is searched: the tuned grid will have another value there."""
    patterns = [*_items(root, "exclude")]
    if "baseline" in root.value:
        patterns.append(root.value["baseline"])
    for hypothesis in _items(root, "hypotheses"):
        patterns += _items(hypothesis, "compare")
    patterns += [reference.value["model"] for reference in _items(root, "references")]
    for model in _items(root, "models"):
        patterns += section(model, "match").value.values()
    for pattern in patterns:
        named = {f"{MODEL}{key}": node for key, node in pattern.value.items()}
        named |= section(pattern, "recipe").value
        for name, node in named.items():
            if name in searched:
                raise node.key_error(
                    f"{name} is searched, so no pattern can name it; tell the variant by other fields"
                )


def _items(parent: Node, key: str) -> list[Node]:
    return parent.value[key].value if key in parent.value else []


def _check_variants(spec: SearchSpec, space: Node, variants: Sequence[Variant], catalog: Catalog) -> None:
    """Every corner goes with every variant, and no two variants differ in what is searched alone."""
    if math.prod(len(parameter.corners) for parameter in spec.space) > MAX_CORNERS:
        raise space.error(f"more than {MAX_CORNERS:,} combinations of extreme values; search fewer fields at once")
    first: dict[str, Variant] = {}
    for number, corner in enumerate(spec.corners()):
        for variant in variants:
            try:
                tried = trial_variant(variant, corner, spec, catalog)
            except SpecError as error:
                values = ", ".join(f"{name}={value}" for name, value in corner.items())
                raise space.error(f"{variant.label} with {values}: {error}") from error
            if number == 0 and first.setdefault(tried.variant_id, variant) is not variant:
                other = first[tried.variant_id].label
                raise space.error(
                    f"{variant.label!r} and {other!r} differ only in what is searched; drop one of them, "
                    "or search other fields"
                )
