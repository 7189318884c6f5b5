"""An entry of `models`, and a pattern: sections in which a value may be an axis, and which the registry checks.

Where a field is an axis, a list of values stands in place of a value.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, Self, TypeVar, get_args

from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    create_model,
    model_validator,
)

from nin_bench.cell import DataSpec, ModelSpec, NonNegativeInt, Recipe, Scalar, Spec
from nin_bench.errors import SpecError, shown, unknown_name
from nin_bench.grid.refusals import AT_NAME, Loc, refuse, wrong
from nin_bench.results.schema import Sentence

Size = Literal["num_params", "num_macs"]
"""What a network can be matched in."""

SIZES: tuple[Size, ...] = get_args(Size)


class Catalog(Protocol):
    """What a grid asks of those who know the names; all answer a wrong value with SpecError."""

    def resolve_model(self, name: str, arguments: Mapping[str, object]) -> ModelSpec:
        """The registered model with every argument typed and filled in."""

    def resolve_data(self, spec: DataSpec) -> DataSpec:
        """The dataset with its resolution and validation size filled in."""

    def class_names(self, data: DataSpec) -> Sequence[str]:
        """The names of a resolved dataset's classes, by number."""

    def count(self, model: ModelSpec, data: DataSpec, size: Size) -> int:
        """How many parameters, or MACs per image, the network has."""


def value_or_list(value: object) -> str:
    """The form that a field has been given in, by the name that pydantic's errors show it with."""
    return "(list)" if isinstance(value, list) else "(value)"


T = TypeVar("T")

# With a callable to choose by, an error comes once, and not once for each form that a field may have.
Axis = Annotated[
    Annotated[T, Tag("(value)")] | Annotated[list[T], Field(min_length=1), Tag("(list)")],
    Discriminator(value_or_list),
]
"""A value, or a list of values that the grid takes in turn."""


def listed(value: Any) -> list[Any]:
    """The values of an axis, one that is no list as a list of itself."""
    return value if isinstance(value, list) else [value]


def _scalar(value: object) -> object:
    if isinstance(value, list | dict):
        raise wrong(f"{shown(value)} cannot stand here; give one value")
    return value


Argument = Annotated[
    Any, AfterValidator(_scalar), WithJsonSchema({"type": ["boolean", "integer", "number", "string", "null"]})
]
"""The value of an argument of a model; the registry knows what it may be."""


class Section(Spec):
    """A part of the file: a mapping whose fields are all known."""


def axes_of(spec: type[Spec], base: type[Section] = Section) -> type[Section]:
    """The spec with an axis in place of every value, none of them required."""
    axis: Any = Axis
    fields: dict[str, Any] = {}
    for name, info in spec.model_fields.items():
        default = None if info.is_required() else info.default
        fields[name] = (axis[info.rebuild_annotation()], Field(default=default))
    return create_model(f"{spec.__name__}Axes", __base__=base, __doc__=spec.__doc__, **fields)


class _Data(Section):
    @model_validator(mode="after")
    def _registered(self, info: ValidationInfo) -> Self:
        refuse(self._unknown_names(info.context) if "name" in self.model_fields_set else ())
        return self

    def _unknown_names(self, catalog: Any) -> Iterator[tuple[Loc, str]]:
        for number, name in enumerate(listed(getattr(self, "name", None))):
            try:
                catalog.resolve_data(DataSpec(name=name))
            except SpecError as error:  # what else is wrong may be given elsewhere, and is said on expanding
                if error.field == "name":
                    yield ("name", number), error.message


if TYPE_CHECKING:

    class DataAxes(Section):
        """Which images, at which size."""

    class RecipeAxes(Section):
        """How a model is trained."""

else:
    DataAxes, RecipeAxes = axes_of(DataSpec, _Data), axes_of(Recipe)


class WithArguments(Section):
    """A section that names a model's arguments beside its own fields."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Axis[Argument]] = Field(init=False)

    @property
    def arguments(self) -> dict[str, Any]:
        """Every argument's value, or list of values."""
        return self.model_extra or {}


def _wrong_arguments(catalog: Any, name: str, at: Loc, arguments: Mapping[str, Any]) -> Iterator[tuple[Loc, str]]:
    """What the registry refuses, each value judged by itself."""
    try:
        known = catalog.resolve_model(name, {}).arguments
    except SpecError as error:
        yield at, error.message
        return
    for key, values in arguments.items():
        if key not in known:
            yield (key, AT_NAME), misplaced(key) or unknown_name(f"{name} argument", key, known)
            continue
        for number, value in enumerate(listed(values)):
            try:
                catalog.resolve_model(name, {key: value})
            except SpecError as error:
                yield (key, number), error.message


def misplaced(key: str) -> str:
    """Where a field of recipe or data belongs that stands among a model's arguments; "" if it is none."""
    for section, spec in (("recipe", Recipe), ("data", DataSpec)):
        if key in spec.model_fields:
            return f"{key!r} is a field of {section}, not of a model; write {section}: {{{key}: …}}"
    return ""


class Pattern(WithArguments):
    """Matches what is equal in every field it names, or in the field's list; a text alone is a variant's label."""

    label: Axis[str] = ""
    """The variant's label, as the grid's `models` give it, filled in."""
    name: Axis[str] = ""
    match: Axis[Size | None] = None
    """What its width was matched in; null is a variant that was not."""
    recipe: RecipeAxes = RecipeAxes()
    data: DataAxes = DataAxes()

    @model_validator(mode="before")
    @classmethod
    def _label_alone(cls, value: object) -> object:
        return {"label": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _registered(self, info: ValidationInfo) -> Self:
        for number, name in enumerate(listed(self.name) if "name" in self.model_fields_set else ()):
            refuse(_wrong_arguments(info.context, name, ("name", number), self.arguments))
        return self

    def wanted(self) -> dict[str, list[Scalar]]:
        """The values that match, by field; those of recipe and data as `recipe.lr`."""
        given: dict[str, Any] = {key: getattr(self, key) for key in self.model_fields_set - {"recipe", "data"}}
        for section, axes in (("recipe", self.recipe), ("data", self.data)):
            given |= {f"{section}.{key}": getattr(axes, key) for key in axes.model_fields_set}
        given |= self.arguments
        return {key: listed(value) for key, value in given.items()}


class CellPattern(Pattern):
    """A pattern that may name seeds, too."""

    seed: Axis[NonNegativeInt] = 0


class MatchEntry(Section):
    """Chooses the width at which a network is as large as the one variant that a pattern matches."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    num_params: Pattern = Pattern()
    num_macs: Pattern = Pattern()

    @property
    def _sizes(self) -> list[Size]:
        return [size for size in SIZES if size in self.model_fields_set]

    @model_validator(mode="after")
    def _names_one_size(self) -> Self:
        if len(self._sizes) != 1:
            raise wrong(f"names {len(self._sizes)} sizes; give one of {', '.join(SIZES)}, and a pattern")
        return self

    @property
    def target(self) -> tuple[Size, Pattern]:
        """What is matched, and the pattern of the variant that it is matched to."""
        return self._sizes[0], getattr(self, self._sizes[0])


class ModelEntry(WithArguments):
    """An entry of `models`: a model's name and arguments, each of them a value or an axis."""

    name: str
    label: Sentence | None = None
    """The variants' name for people: `NiN-{pointwise}, lr {recipe.lr}` is filled from each variant's fields."""
    recipe: RecipeAxes = RecipeAxes()
    """Goes over the grid's."""
    data: DataAxes = DataAxes()
    """Goes over the grid's."""
    match: MatchEntry | None = None
    """What the width is found by, where it is not given."""

    @model_validator(mode="after")
    def _registered(self, info: ValidationInfo) -> Self:
        problems = list(_wrong_arguments(info.context, self.name, ("name",), self.arguments))
        if self.match and "width" in self.arguments:
            problems.append((("width", AT_NAME), "given, and found by match as well; leave one of the two out"))
        refuse(problems)
        return self


class Changes(WithArguments):
    """What an ablation changes of its baseline: each value by itself, those of a list in turn."""

    recipe: RecipeAxes = RecipeAxes()
    """Fields of the recipe."""
    data: DataAxes = DataAxes()
    """Fields of the data."""


class AblateEntry(Section):
    """A baseline, and one variant for each change to it: as many entries of `models`."""

    of: ModelEntry | None = None
    """The baseline: an entry as of `models`, without a list."""
    change: Changes = Changes()
    """Arguments of the model, and fields of recipe and data: each value makes a variant."""
    pairs: bool = False
    """Whether any two changes of different fields make one, too."""

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> Self:
        if self.of is not None:
            wrong_changes = _wrong_arguments(info.context, self.of.name, ("of",), self.change.arguments)
            refuse([*self._lists(self.of), *((("change", *loc), message) for loc, message in wrong_changes)])
        return self

    def _lists(self, of: ModelEntry) -> Iterator[tuple[Loc, str]]:
        given: list[tuple[Loc, Any]] = [((key,), value) for key, value in of.arguments.items()]
        for section, axes in (("recipe", of.recipe), ("data", of.data)):
            given += [((section, key), getattr(axes, key)) for key in axes.model_fields_set]
        for loc, value in given:
            if isinstance(value, list):
                yield ("of", *loc), "a list, and a baseline is one variant; give one value, the others in change"
