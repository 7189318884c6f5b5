"""From an entry of `models` to its variants: the product of its axes, every point resolved.

A point that cannot be is kept as a draft with the reason, since `exclude` may leave it out.
"""

import math
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import prod
from typing import Any, Generic, TypeVar, cast

from nin_bench.cell import Cell, DataSpec, ModelSpec, Recipe, Spec
from nin_bench.errors import InputError, SpecError, shown, unknown_name
from nin_bench.grid.entries import Catalog, ModelEntry
from nin_bench.grid.refusals import Refusals
from nin_bench.grid.yaml_source import Node
from nin_bench.results.schema import Match, ResolvedVariant

Point = Mapping[str, Node]
"""One value per field, each with its place."""

SpecT = TypeVar("SpecT", bound=Spec)


@dataclass(frozen=True)
class Variant:
    """What is compared: a cell without its seed, and where in the file it stands."""

    model: ModelSpec
    data: DataSpec
    recipe: Recipe
    label: str
    entry: Node
    fields: Point
    """The nodes that its values were read from; those of recipe and data as `recipe.lr`."""
    match: Match | None = None
    """What its width was found by, if it was not given."""
    own_label: bool = False
    """Whether the grid gives the label itself."""

    def cell(self, seed: int) -> Cell:
        """The variant with a seed."""
        return Cell(model=self.model, data=self.data, recipe=self.recipe, seed=seed, label=self.label)

    @cached_property
    def variant_id(self) -> str:
        """The id of the variant, as `Cell.variant_id`."""
        return self.cell(0).variant_id

    @cached_property
    def values(self) -> dict[str, Any]:
        """Values by the names that patterns and labels give their fields: `pointwise`, `recipe.lr`, `match`."""
        return {
            "name": self.model.name,
            "match": self.match and self.match.size,
            **self.model.arguments,
            **({"width": self.match.width} if self.match else {}),
            **{f"recipe.{key}": value for key, value in self.recipe},
            **{f"data.{key}": value for key, value in self.data},
        }

    def refused(self, error: SpecError) -> InputError:
        """A refusal from whoever built the model, with the file, line and column of the refused value."""
        for field in (error.field, f"data.{error.field}", f"recipe.{error.field}"):
            if field in self.fields:
                return self.fields[field].error(f"{self.label}: {error.message}")
        return self.entry.error(f"{self.label}: {error}")

    def resolved(self) -> ResolvedVariant:
        """The variant as files keep it."""
        return ResolvedVariant(
            variant_id=self.variant_id,
            label=self.label,
            own_label=self.own_label,
            model=self.model.model_copy(update={"defaults": {}}),
            data=self.data,
            recipe=self.recipe,
            match=self.match,
        )


@dataclass(frozen=True)
class Option(Generic[SpecT]):
    """One point of the axes of the recipe or of the data."""

    point: Point
    """The nodes that its values were read from, as in `Variant.fields`."""
    spec: SpecT
    problem: InputError | None
    """Why its values do not go together; `spec` then holds them as they were given."""


def options(
    section: str, axes: Node, spec: type[SpecT], resolve: Callable[[SpecT], SpecT] = lambda spec: spec
) -> list[Option[SpecT]]:
    """Every point of a section's axes, resolved and validated as far as that can be done."""
    found: list[Option[SpecT]] = []
    for point in _points(axes.value):
        values = {key: node.value for key, node in point.items()}
        fields = {f"{section}.{key}": node for key, node in point.items()}
        try:
            found.append(Option(fields, resolve(spec.model_validate(values)), None))
        except SpecError as error:
            as_given = cast("SpecT", spec.model_construct(**values))
            found.append(Option(fields, as_given, _placed(error, point, axes)))
    return found


@dataclass(frozen=True)
class Entry:
    """An entry of `models` and its nodes, the axes not yet taken apart."""

    file: ModelEntry
    node: Node
    data: Node
    recipe: Node
    """The grid's, the entry's own and `--set`'s, one over the other; so is the data."""

    @cached_property
    def arguments(self) -> dict[str, Node]:
        """The model's arguments as the grid writes them."""
        return {key: node for key, node in self.node.value.items() if key not in type(self.file).model_fields}

    @property
    def axes(self) -> list[Node]:
        """Every list that stands in place of a value."""
        fields = [*self.arguments.values(), *self.data.value.values(), *self.recipe.value.values()]
        return [node for node in fields if isinstance(node.value, list)]

    @property
    def num_variants(self) -> int:
        """The product of its axes, found without taking them apart."""
        return prod(len(axis.value) for axis in self.axes)

    @cached_property
    def _told(self) -> list[tuple[str, str]]:
        """What a label tells, each by its short name and its field: all that the entry writes, and shared axes."""
        told = [(key, key) for key in (*self.arguments, *(["width"] if self.file.match else []))]
        for section, axes in (("recipe", self.recipe), ("data", self.data)):
            own = self.node.section(section).value
            told += [
                ("data" if (section, key) == ("data", "name") else key, f"{section}.{key}")
                for key, node in axes.value.items()
                if isinstance(node.value, list) or key in own
            ]
        return told

    def written_label(self, fields: Point) -> str:
        """The label of a variant with these fields, if there is no template."""
        told = [f"{name}={text_of(fields[key].value)}" for name, key in self._told if key in fields]
        return " ".join([self.file.name, *told])

    def labelled(self, variant: Variant) -> Variant:
        """The variant with its label, from the entry's template or from what the grid writes of it.

        Raises:
            InputError: the template has a placeholder that is none of the variant's fields.
        """
        if self.file.label is None:
            return replace(variant, label=self.written_label(variant.fields))
        node, values, text = self.node.at("label"), variant.values, ""
        try:
            parts = list(string.Formatter().parse(self.file.label))
        except ValueError as error:
            raise node.error(
                f"{shown(self.file.label)} has a brace without its pair; write {{{{ for one"
            ) from error
        for literal, key, form, conversion in parts:
            text += literal
            if key is not None:
                name = f"{key}{f'!{conversion}' if conversion else ''}{f':{form}' if form else ''}"
                if name not in values:
                    raise node.error(unknown_name("placeholder", name, values))
                text += text_of(values[key])
        if not text.isprintable():
            raise node.error(f"{shown(text)} holds a character that cannot be printed; leave it out")
        return replace(variant, label=text, own_label=True)

    def with_width(self, variant: Variant, match: Match, catalog: Catalog) -> Variant:
        """The variant with the width that was found for it."""
        node = self.node.at("match")
        arguments = {**variant.model.arguments, "width": match.width}
        return self.labelled(
            replace(
                variant,
                model=catalog.resolve_model(self.file.name, arguments),
                fields={**variant.fields, "width": replace(node, value=match.width)},
                match=match,
            )
        )


@dataclass(frozen=True)
class Draft:
    """A variant, and why it cannot be, if it cannot; `exclude` may leave it out."""

    variant: Variant
    entry: Entry
    problem: InputError | None


def drafts(entry: Entry, data: Sequence[Option[DataSpec]], catalog: Catalog) -> Iterator[Draft]:
    """Every variant of an entry; the data's and the recipe's axes run inside the model's.

    The width of one that is matched is not known yet: it is not a number.

    Raises:
        InputError: the label is wrong.
    """
    match = None
    if entry.file.match:
        size = entry.file.match.target[0]
        match = Match.model_construct(size=size, to="", width=math.nan, target=0, reached=0, residue=0.0)
    written = {"match": replace(entry.node.at("match"), value=entry.node.at("match").plain())} if match else {}
    recipes = options("recipe", entry.recipe, Recipe)
    for arguments in _points(entry.arguments):
        values = {key: node.value for key, node in arguments.items()}
        problem = None
        try:
            model = catalog.resolve_model(entry.file.name, values)
        except SpecError as error:
            model, problem = (
                ModelSpec(name=entry.file.name, arguments=values),
                _placed(error, arguments, entry.node),
            )
        for one, recipe in product(data, recipes):
            fields = {**arguments, **one.point, **recipe.point, **written}
            label = entry.written_label(fields)
            variant = Variant(model, one.spec, recipe.spec, label, entry.node, fields, match)
            yield Draft(
                entry.labelled(variant) if entry.file.label else variant,
                entry,
                problem or one.problem or recipe.problem or _nothing_to_stop_by(one.spec, recipe.spec, fields),
            )


def _nothing_to_stop_by(data: DataSpec, recipe: Recipe, fields: Point) -> InputError | None:
    """The refusal of a recipe that stops early by validation images that are not there."""
    if recipe.early_stop is None or data.validation_size:
        return None
    return fields["recipe.early_stop"].error(
        f"{recipe.early_stop!r}, but data.validation_size is 0; keep some images to stop by"
    )


def _placed(error: SpecError, point: Point, place: Node) -> InputError:
    """A refusal at the refused value or, if that was not given, at what lacks it."""
    node = point.get(error.field)
    return node.error(error.message) if node else place.error(str(error))


def _points(fields: Point) -> Iterator[Point]:
    """Every point of the product of the axes among the fields, the last axis running fastest."""
    choices = [node.value if isinstance(node.value, list) else [node] for node in fields.values()]
    for values in product(*choices):
        yield dict(zip(fields, values, strict=True))


def check_distinct(variants: Sequence[Variant]) -> None:
    """Refuse two variants that are one experiment, or have one label; InputError with the lines of both."""
    refusals = Refusals()
    by_id: dict[str, Variant] = {}
    by_label: dict[str, Variant] = {}
    for variant in variants:
        first = by_id.setdefault(variant.variant_id, variant)
        alike = by_label.setdefault(variant.label, variant)
        if first is not variant:
            same = (
                f"{variant.label!r} is the same experiment as {first.label!r} on line {first.entry.line}; drop one"
            )
            refusals.add(variant.entry.error(same))
        elif alike is not variant:
            differs = [key for key, value in variant.values.items() if alike.values.get(key) != value]
            also = (
                f"{variant.label!r} is also a label of line {alike.entry.line}; the two differ in "
                f"{', '.join(differs)}, so add {{{differs[0]}}} to the label"
            )
            refusals.add(variant.entry.at("label").error(also))
    refusals.raise_any()


def text_of(value: object) -> str:
    """A value as labels show it."""
    return value if isinstance(value, str) else shown(value)
