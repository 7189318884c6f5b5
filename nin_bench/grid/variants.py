"""From an entry of `models` to its variants: take the axes apart, resolve and validate every point."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import Any, Protocol

from nin_bench.cell import Cell, DataSpec, ModelSpec, Recipe
from nin_bench.errors import InputError, SpecError, shown
from nin_bench.grid.validation import Point, refusal, required, section, validated
from nin_bench.yaml_source import Node


class Catalog(Protocol):
    """What a grid asks of those who know the names; both answer a wrong value with SpecError."""

    def resolve_model(self, name: str, arguments: Mapping[str, object]) -> ModelSpec:
        """The registered model with every argument typed and filled in."""

    def resolve_data(self, spec: DataSpec) -> DataSpec:
        """The dataset with its resolution and validation size filled in."""


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

    def cell(self, seed: int) -> Cell:
        """The variant with a seed."""
        return Cell(model=self.model, data=self.data, recipe=self.recipe, seed=seed, label=self.label)

    @cached_property
    def variant_id(self) -> str:
        """As `Cell.variant_id`."""
        return self.cell(0).variant_id

    @cached_property
    def comparable(self) -> dict[str, Any]:
        """Its values by the names that a pattern gives them: `name`, `pointwise`, `recipe.lr`."""
        return {
            "name": self.model.name,
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
        """Id, label and the resolved values."""
        resolved = self.cell(0).as_dict()
        del resolved["seed"]
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

    @classmethod
    def read(cls, entry: Node, data: Node, recipe: Node, over: Node) -> "ModelEntry":
        """Read an entry.

        Args:
            entry: a model's name, its arguments and its own recipe.
            data: the grid's.
            recipe: the grid's; the entry's own goes over it.
            over: the recipe that goes over both.
        """
        fields = entry.mapping("a model")
        name = model_name(required(entry, "name"))
        arguments = {key: node for key, node in fields.items() if key not in ("name", "recipe")}
        own = section(entry, "recipe")
        read = cls(entry, name, arguments, data, recipe.merged(own).merged(over), own)
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

    def variants(self, catalog: Catalog) -> Iterator[Variant]:
        """Every variant, resolved and validated; the data's and the recipe's axes run inside the model's."""
        data = [(point, self._data(point, catalog)) for point in _points(self.data.value)]
        recipes = [(point, validated(Recipe, point, self.recipe)) for point in _points(self.recipe.value)]
        for arguments in _points(self.arguments):
            model = self._model(arguments, catalog)
            for (data_point, data_spec), (recipe_point, recipe) in product(data, recipes):
                yield Variant(
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
