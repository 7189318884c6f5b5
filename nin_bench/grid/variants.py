"""From an entry of `models` to its variants: take the axes apart, resolve and validate every point."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import product
from math import prod
from typing import Any, Literal, Protocol, get_args

from nin_bench.cell import Cell, DataSpec, ModelSpec, Recipe
from nin_bench.errors import InputError, SpecError, shown
from nin_bench.grid.validation import Point, refusal, required, section, validated
from nin_bench.yaml_source import Node

Size = Literal["num_params", "num_macs"]
"""What a network can be matched in."""

SIZES: tuple[Size, ...] = get_args(Size)


class Catalog(Protocol):
    """What a grid asks of those who know the names; all answer a wrong value with SpecError."""

    def resolve_model(self, name: str, arguments: Mapping[str, object]) -> ModelSpec:
        """The registered model with every argument typed and filled in."""

    def resolve_data(self, spec: DataSpec) -> DataSpec:
        """The dataset with its resolution and validation size filled in."""

    def count(self, model: ModelSpec, data: DataSpec, size: Size) -> int:
        """How many parameters, or MACs per image, the network has."""


@dataclass(frozen=True)
class Match:
    """What a variant's width was chosen for: to be as large as another variant."""

    size: Size
    to: str
    """The other's label."""
    width: float
    target: int
    reached: int

    @property
    def residue(self) -> float:
        """What is left of the difference, relative to the target."""
        return (self.reached - self.target) / self.target

    def as_dict(self) -> dict[str, Any]:
        """As grid.json keeps it."""
        return {**asdict(self), "residue": self.residue}


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
    """Where its width was not given but found."""

    def cell(self, seed: int) -> Cell:
        """The variant with a seed."""
        return Cell(model=self.model, data=self.data, recipe=self.recipe, seed=seed, label=self.label)

    @cached_property
    def variant_id(self) -> str:
        """As `Cell.variant_id`."""
        return self.cell(0).variant_id

    @cached_property
    def comparable(self) -> dict[str, Any]:
        """Its values by the names that a pattern gives them: `name`, `match`, `pointwise`, `recipe.lr`."""
        return {
            "name": self.model.name,
            "match": self.match and self.match.size,
            **self.model.arguments,
            **{f"recipe.{key}": value for key, value in self.recipe},
            **{f"data.{key}": value for key, value in self.data},
        }

    def refused(self, error: SpecError) -> InputError:
        """A refusal from whoever built the model, with the file, line and column of the refused value."""
        for field in (error.field, f"data.{error.field}", f"recipe.{error.field}"):
            if field in self.fields:
                return self.fields[field].error(f"{self.label}: {error.message}")
        return self.entry.error(f"{self.label}: {error}")

    def as_dict(self) -> dict[str, Any]:
        """Id, label, the resolved values, and what its width was matched to."""
        resolved = self.cell(0).as_dict()
        del resolved["seed"]
        if self.match:
            resolved["match"] = self.match.as_dict()
        return {"variant_id": self.variant_id, "label": self.label, **resolved}


@dataclass(frozen=True)
class ModelEntry:
    """One entry of `models`, its axes not yet taken apart."""

    entry: Node
    name: str
    arguments: dict[str, Node]
    data: Node
    recipe: Node
    own_recipe: Node
    match: Node | None
    """What its width is found by, where that is not given."""

    @classmethod
    def read(cls, entry: Node, data: Node, recipe: Node, over: Node) -> "ModelEntry":
        """Read an entry.

        Args:
            entry: a model's name, its arguments, its own recipe, what it is matched to.
            data: the grid's.
            recipe: the grid's; the entry's own goes over it.
            over: the recipe that goes over both.
        """
        fields = entry.mapping("a model")
        name = model_name(required(entry, "name"))
        arguments = {key: node for key, node in fields.items() if key not in ("name", "recipe", "match")}
        if "match" in fields and "width" in arguments:
            raise arguments["width"].key_error("given, and found by match as well; leave one of the two out")
        own = section(entry, "recipe")
        read = cls(entry, name, arguments, data, recipe.merged(own).merged(over), own, fields.get("match"))
        for node in read._axes():
            if not node.value:
                raise node.error("an axis without values; give at least one")
        return read

    def _axes(self) -> list[Node]:
        fields = [*self.arguments.values(), *self.data.value.values(), *self.recipe.value.values()]
        return [node for node in fields if isinstance(node.value, list)]

    @property
    def num_variants(self) -> int:
        """The product of its axes, found without taking them apart."""
        return prod(len(axis.value) for axis in self._axes())

    def variants(self, catalog: Catalog, find: "Callable[[Variant], Match] | None" = None) -> Iterator[Variant]:
        """Every variant, resolved and validated; the data's and the recipe's axes run inside the model's.

        Args:
            catalog: knows models and data.
            find: finds the width of a variant that is to be matched; None leaves all at their default.
        """
        data = [(point, self._data(point, catalog)) for point in _points(self.data.value)]
        recipes = [(point, validated(Recipe, point, self.recipe)) for point in _points(self.recipe.value)]
        for arguments in _points(self.arguments):
            model = self._model(arguments, catalog)
            for (data_point, data_spec), (recipe_point, recipe) in product(data, recipes):
                variant = Variant(
                    model=model,
                    data=data_spec,
                    recipe=recipe,
                    label=self._label(arguments, data_point, recipe_point),
                    entry=self.entry,
                    fields={
                        **arguments,
                        **{f"data.{key}": node for key, node in data_point.items()},
                        **{f"recipe.{key}": node for key, node in recipe_point.items()},
                    },
                )
                if self.match and find:
                    match = find(variant)
                    wide = {**arguments, "width": replace(self.match, value=match.width)}
                    variant = replace(
                        variant,
                        model=self._model(wide, catalog),
                        label=self._label(wide, data_point, recipe_point),
                        fields={**variant.fields, **wide, "match": replace(self.match, value=self.match.plain())},
                        match=match,
                    )
                yield variant

    def _label(self, arguments: Point, data: Point, recipe: Point) -> str:
        """All that the grid writes of this model, and the values of axes that all models share."""
        told = list(arguments.items())
        told += [
            (key, node)
            for key, node in recipe.items()
            if key in self.own_recipe.value or isinstance(self.recipe.value[key].value, list)
        ]
        told += [
            ("data" if key == "name" else key, node)
            for key, node in data.items()
            if isinstance(self.data.value[key].value, list)
        ]
        return " ".join([self.name, *(f"{key}={_text(node.value)}" for key, node in told)])

    def _model(self, arguments: Point, catalog: Catalog) -> ModelSpec:
        try:
            return catalog.resolve_model(self.name, {key: node.plain() for key, node in arguments.items()})
        except SpecError as error:
            raise refusal(error, {**arguments, "name": self.entry.value["name"]}, self.entry) from error

    def _data(self, point: Point, catalog: Catalog) -> DataSpec:
        try:
            return catalog.resolve_data(validated(DataSpec, point, self.data))
        except SpecError as error:
            raise refusal(error, point, self.data) from error


def model_name(node: Node) -> str:
    """The name of a model, which is text; whether one has that name, the catalog knows."""
    if not isinstance(node.value, str):
        raise node.error(f"{shown(node.value)} is not a model's name; write one name, in quotes if need be")
    return node.value


def _points(fields: Point) -> Iterator[Point]:
    """Every point of the product of the axes among the fields, the last axis running fastest."""
    choices = [node.value if isinstance(node.value, list) else [node] for node in fields.values()]
    for values in product(*choices):
        yield dict(zip(fields, values, strict=True))


def _text(value: object) -> str:
    return value if isinstance(value, str) else shown(value)
