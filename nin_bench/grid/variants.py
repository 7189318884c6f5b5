"""From an entry of `models` to its variants: take the axes apart, resolve and validate every point."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import Any, Protocol

from nin_bench.cell import Cell, DataSpec, ModelSpec, Recipe
from nin_bench.errors import InputError, SpecError
from nin_bench.grid.validation import Point, required, section, validated
from nin_bench.yaml_source import Node, shown


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
    fields: Mapping[str, Node]
    """The nodes that its values were read from, by dotted field."""

    def cell(self, seed: int) -> Cell:
        """The variant with a seed."""
        return Cell(model=self.model, data=self.data, recipe=self.recipe, seed=seed, label=self.label)

    @cached_property
    def variant_id(self) -> str:
        """As `Cell.variant_id`."""
        return self.cell(0).variant_id

    def refused(self, error: SpecError) -> InputError:
        """A refusal from whoever built the model, with the file, line and column of the refused value."""
        node = self.fields.get(error.field) or self.fields.get(f"data.{error.field}") or self.entry
        return node.error(f"{self.label}: {error.message}")

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
    data: dict[str, Node]
    recipe: dict[str, Node]
    own_recipe: dict[str, Node]

    @classmethod
    def read(cls, entry: Node, data: Node, recipe: Node, over: Node) -> "ModelEntry":
        """Read an entry, with its own recipe laid over the grid's and the overrides over both."""
        fields = entry.mapping("a model")
        name = required(entry, "name")
        if not isinstance(name.value, str):
            raise name.error(f"{shown(name.value)} is not a model's name; write one name, in quotes if need be")
        own = section(entry, "recipe")
        return cls(
            entry=entry,
            name=name.value,
            arguments={key: node for key, node in fields.items() if key not in ("name", "recipe")},
            data=data.value,
            recipe=recipe.merged(own).merged(section(over, "recipe")).value,
            own_recipe=own.value,
        )

    @property
    def num_variants(self) -> int:
        """The product of its axes, found without taking them apart."""
        axes = [*self.arguments.values(), *self.data.values(), *self.recipe.values()]
        return prod(len(node.value) for node in axes if isinstance(node.value, list))

    def variants(self, catalog: Catalog) -> Iterator[Variant]:
        """Every variant, resolved and validated; the data's and the recipe's axes run inside the model's."""
        data = [(point, self._data(point, catalog)) for point in points(self.data)]
        recipes = [(point, validated(Recipe, point, self.entry)) for point in points(self.recipe)]
        for arguments in points(self.arguments):
            model = self._model(arguments, catalog)
            for (data_point, data_spec), (recipe_point, recipe) in product(data, recipes):
                named = [(key, arguments[key]) for key in self.arguments]
                named += [(key, recipe_point[key]) for key in self.recipe if self._tells(key)]
                named += [(key, data_point[key]) for key in self.data if isinstance(self.data[key].value, list)]
                yield Variant(
                    model=model,
                    data=data_spec,
                    recipe=recipe,
                    label=" ".join([self.name, *(f"{key}={_text(node.value)}" for key, node in named)]),
                    entry=self.entry,
                    fields={
                        **arguments,
                        **{f"data.{key}": node for key, node in data_point.items()},
                        **{f"recipe.{key}": node for key, node in recipe_point.items()},
                    },
                )

    def _tells(self, recipe_field: str) -> bool:
        """Whether a recipe field sets this model's variants apart: its own, or an axis."""
        return recipe_field in self.own_recipe or isinstance(self.recipe[recipe_field].value, list)

    def _model(self, arguments: Point, catalog: Catalog) -> ModelSpec:
        try:
            return catalog.resolve_model(self.name, {key: node.plain() for key, node in arguments.items()})
        except SpecError as error:
            place = self.entry.value["name"] if error.field == "name" else arguments.get(error.field, self.entry)
            raise place.error(error.message) from error

    def _data(self, point: Point, catalog: Catalog) -> DataSpec:
        try:
            return catalog.resolve_data(validated(DataSpec, point, self.entry))
        except SpecError as error:
            raise point.get(error.field, self.entry).error(error.message) from error


def points(fields: Mapping[str, Node]) -> Iterator[Point]:
    """Every point of the product of the axes among the fields, the last axis running fastest."""
    for key, node in fields.items():
        if isinstance(node.value, list) and not node.value:
            raise node.error(f"an axis without values; give {key} at least one")
    choices = [node.value if isinstance(node.value, list) else [node] for node in fields.values()]
    for values in product(*choices):
        yield dict(zip(fields, values, strict=True))


def _text(value: object) -> str:
    return value if isinstance(value, str) else shown(value)
