"""The `search` section: which fields are searched, the same for every variant, and at what expense."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Literal, cast

from nin_bench.cell import PositiveInt, Recipe, Scalar
from nin_bench.errors import SpecError, shown, unknown_name
from nin_bench.grid.entries import Catalog, RecipeAxes
from nin_bench.grid.file import RangeEntry, SearchEntry, SearchFields
from nin_bench.grid.patterns import comparable
from nin_bench.grid.refusals import Refusals, validated
from nin_bench.grid.variants import Variant
from nin_bench.grid.yaml_source import Node
from nin_bench.results.studies import Range, ToldByObjective

FIRST_SEED = 10_000
"""The first seed of a search: far from those of a run, so that a tuned recipe meets seeds that are new to it."""
MAX_CORNERS = 4_096
"""Combinations of extreme values that are checked before anything is trained."""
MODEL = "model."
"""What opens the name of a parameter that is an argument of the models."""

NEVER_SEARCHED = {
    "epochs": "trials of different lengths would not compare; say how long all of them train in search.epochs",
    **dict.fromkeys(
        ("early_stop", "patience"), "all trials train as long, so that all have one budget; leave it out"
    ),
    "test_every_epoch": "no choice may use the test images; leave it out",
}
"""Fields of the recipe that no search may choose, and why."""


Searched = Range | tuple[Scalar, ...]
"""Where a parameter is searched: a range, or the values to choose from, which have no order."""


class SearchSpec(ToldByObjective, SearchFields):
    """What is tried for every variant alike, and how the best is told."""

    space: dict[str, Searched]
    """What is searched, by its name: a field of the recipe, or `model.` and an argument of the models."""
    trials: PositiveInt
    """Trials of every variant, in all: a search that goes on does the rest."""

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """Which way is better."""
        return "maximize" if self.in_points else "minimize"

    def grid_points(self) -> list[dict[str, Scalar]]:
        """What the sampler `grid` tries: the product of choices and evenly spaced points, the last fastest.

        Raises:
            SpecError: of `trials` or `sampler`, where no such grid has as many points as there are trials.
        """
        ranges = [name for name, searched in self.space.items() if isinstance(searched, Range)]
        combinations = math.prod(len(one) for one in self.space.values() if not isinstance(one, Range))
        if len(ranges) > 1:
            listed = " and ".join(ranges)
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
        for name, searched in self.space.items():
            points = searched.points(per_combination) if isinstance(searched, Range) else searched
            if len(set(points)) < len(points):
                raise SpecError("trials", f"{self.trials} is more than {name} has whole numbers; use fewer")
            axes.append(points)
        return [dict(zip(self.space, values, strict=True)) for values in product(*axes)]

    def corners(self) -> Iterator[dict[str, Scalar]]:
        """Every combination of extreme values and choices."""
        for values in product(*map(_extremes, self.space.values())):
            yield dict(zip(self.space, values, strict=True))


def _extremes(searched: Searched) -> tuple[Scalar, ...]:
    """The ends of a range, and all of some choices."""
    return (searched.low, searched.high) if isinstance(searched, Range) else searched


def search_seeds(count: int, planned: Sequence[int]) -> tuple[int, ...]:
    """The seeds of a search: 10000 and on, or above the run's own where it plans one of those."""
    seeds = range(FIRST_SEED, FIRST_SEED + count)
    if any(seed in seeds for seed in planned):
        seeds = range(max(planned) + 1, max(planned) + 1 + count)
    return tuple(seeds)


def with_params(variant: Variant, params: Mapping[str, Scalar], catalog: Catalog) -> Variant:
    """A variant with other values for some fields of its recipe, and arguments of its model (as `model.dropout`).

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
    fixed = {"epochs": epochs, "early_stop": None, "test_every_epoch": False}
    return with_params(variant, {**params, **fixed}, catalog)


def read_search(
    entry: SearchEntry, root: Node, over: Node, variants: Sequence[Variant], catalog: Catalog
) -> SearchSpec:
    """Resolve the grid's `search`, and hold it against the variants; what `--set` gives cannot be searched.

    Raises:
        InputError: with the place of what is wrong.
    """
    node = root.at("search")
    for field in ("space", "trials"):
        if field not in node.value:
            raise node.error(f"lacks {field!r}; add it")
    space = node.at("space")
    if not entry.space:
        raise space.error("empty; give at least one field, as lr: {low: 1.0e-3, high: 1.0, log: true}")
    refusals = Refusals()
    parameters: dict[str, Searched] = {}
    for name, searched in entry.space.items():
        with refusals.gather():
            parameters[name] = _parameter(name, searched, space.at(name), variants, catalog)
            if name in over.value:
                message = f"{name} is searched; set another field, or leave {name} out of search.space"
                raise over.value[name].error(message)
            if name.startswith(MODEL) and any(variant.match for variant in variants):
                raise space.at(name).key_error(
                    f"{name} would change networks that match holds equal in size; leave it, or match, out"
                )
    with refusals.gather():
        _check_patterns(root, parameters, variants)
    refusals.raise_any()
    spec = SearchSpec(**{**entry.model_dump(exclude={"space"}), "space": parameters})
    if spec.sampler == "grid":
        try:
            spec.grid_points()
        except SpecError as error:
            given = error.field in node.value
            raise node.at(error.field).error(error.message if given else str(error)) from error
    _check_variants(spec, space, variants, catalog)
    return spec


def _parameter(
    name: str, searched: RangeEntry | Sequence[Scalar], node: Node, variants: Sequence[Variant], catalog: Catalog
) -> Searched:
    """One field of the space; InputError where some variant cannot take one of its values."""
    if name in NEVER_SEARCHED:
        raise node.key_error(f"{name} cannot be searched: {NEVER_SEARCHED[name]}")
    if not name.startswith(MODEL) and name not in Recipe.model_fields:
        if any(name in variant.model.arguments for variant in variants):
            raise node.key_error(
                f"{name!r} is an argument of models, not a field of the recipe; to search it, say {MODEL}{name}"
            )
        raise node.key_error(unknown_name("field", name, set(Recipe.model_fields) - set(NEVER_SEARCHED)))
    for variant in variants if name.startswith(MODEL) else ():
        if name.removeprefix(MODEL) not in variant.model.arguments:
            has = ", ".join(variant.model.arguments) or "none"
            raise node.key_error(
                f"{variant.model.name} has no such argument, and all must have what is searched; it has: {has}"
            )
    if not isinstance(searched, RangeEntry):
        if len(searched) < 2:
            raise node.error(f"{len(searched)} leaves nothing to choose; give two values or more")
        choices = [_typed(name, one, variants, catalog) for one in node.value]
        refuse_repeated(node)
        return tuple(choices)
    for end in ("low", "high"):
        if end not in node.value:
            raise node.error(f"lacks {end!r}; add it")
    low, high = (_typed(name, node.at(end), variants, catalog) for end in ("low", "high"))
    if isinstance(low, bool | str | None) or isinstance(high, bool | str | None):
        raise node.error(f"{name} is no number, so it has no range; list the choices, as [{shown(low)}, …]")
    if low >= high:
        raise node.at("low").error(f"{low:g} is not below high, {high:g}; swap them, or leave {name} out")
    if searched.log and low <= 0:
        raise node.at("low").error(f"{low:g} has no place on a log scale; use more than 0, or log: false")
    return Range(low=low, high=high, log=searched.log)


def _typed(name: str, node: Node, variants: Sequence[Variant], catalog: Catalog) -> Scalar:
    """One value of a field, as the recipe has it or as every model takes it."""
    if not name.startswith(MODEL):
        return cast("Scalar", getattr(validated(RecipeAxes, replace(node, value={name: node}), catalog), name))
    value: Scalar = node.value
    argument = name.removeprefix(MODEL)
    for variant in variants:
        try:
            model = catalog.resolve_model(variant.model.name, {**variant.model.arguments, argument: node.value})
        except SpecError as error:
            raise node.error(f"{variant.label}: {error.message}") from error
        value = model.arguments[argument]
    return value


def refuse_repeated(axis: Node) -> None:
    """Refuse a list that gives a value twice; InputError at the second of them."""
    refusals = Refusals()
    seen = set()
    for node in axis.value:
        with refusals.gather():
            if comparable(node.value) in seen:
                raise node.error(f"{shown(node.value)} is given twice; keep one")
            seen.add(comparable(node.value))
    refusals.raise_any()


def _check_patterns(root: Node, searched: Mapping[str, Searched], variants: Sequence[Variant]) -> None:
    """No variant can be told by what is searched: the tuned grid will have another value there."""
    refusals = Refusals()
    sections = [root.section(name) for name in ("exclude", "baseline", "hypotheses", "references")]
    matches = {id(variant.entry): variant.entry.section("match") for variant in variants}
    for pattern in _mappings([*sections, *matches.values()]):
        named = {f"{MODEL}{key}": node for key, node in pattern.value.items()}
        for name, node in {**named, **pattern.section("recipe").value}.items():
            with refusals.gather():
                if name in searched:
                    raise node.key_error(
                        f"{name} is searched, so no pattern can name it; tell the variant by other fields"
                    )
    refusals.raise_any()


def _mappings(nodes: Sequence[Node]) -> Iterator[Node]:
    """Every mapping among the nodes and below them."""
    for node in nodes:
        if isinstance(node.value, dict):
            yield node
            yield from _mappings(list(node.value.values()))
        elif isinstance(node.value, list):
            yield from _mappings(node.value)


def _check_variants(spec: SearchSpec, space: Node, variants: Sequence[Variant], catalog: Catalog) -> None:
    """Every corner goes with every variant, and no two variants differ in what is searched alone."""
    if math.prod(len(_extremes(searched)) for searched in spec.space.values()) > MAX_CORNERS:
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
