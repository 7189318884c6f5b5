"""What is searched: ranges of numbers and choices, each of a field of the recipe or an argument of the models."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

from pydantic import ConfigDict, TypeAdapter

from nin_bench.cell import Recipe, Scalar, Spec
from nin_bench.errors import SpecError, shown, unknown_name
from nin_bench.grid.validation import check_value, required
from nin_bench.grid.variants import Catalog, Variant
from nin_bench.yaml_source import Node

MODEL = "model."
"""What opens the name of a parameter that is an argument of the models."""

NEVER_SEARCHED = {
    "epochs": "trials of different lengths would not compare; say how long all of them train in search.epochs",
    "test_every_epoch": "no choice may use the test images; leave it out",
}
"""Fields of the recipe that no search may choose, and why."""


class Range(Spec):
    """Numbers between two ends, both included."""

    name: str
    """A field of the recipe, or `model.` and an argument of the models."""
    low: int | float
    high: int | float
    log: bool = False
    """Whether equal factors, not equal differences, are equally far apart."""

    def points(self, count: int) -> list[int | float]:
        """So many values from end to end, equally far apart; three digits are kept where that tells them apart."""
        if self.log:
            between = [self.low * (self.high / self.low) ** (k / (count - 1)) for k in range(1, count - 1)]
        else:
            between = [self.low + (self.high - self.low) * k / (count - 1) for k in range(1, count - 1)]
        if isinstance(self.low, int):
            return [self.low, *map(round, between), self.high]
        readable = [self.low, *(float(f"{value:.3g}") for value in between), self.high]
        apart = all(left < right for left, right in pairwise(readable))
        return readable if apart else [self.low, *between, self.high]

    @property
    def corners(self) -> tuple[Scalar, ...]:
        """Its extreme values."""
        return self.low, self.high

    def as_plain(self) -> dict[str, Any]:
        """As the grid writes it."""
        return {"low": self.low, "high": self.high, "log": self.log}


class Choice(Spec):
    """One of several values, which have no order."""

    name: str
    choices: tuple[Scalar, ...]

    @property
    def corners(self) -> tuple[Scalar, ...]:
        """All of them."""
        return self.choices

    def as_plain(self) -> list[Scalar]:
        """As the grid writes it."""
        return list(self.choices)


Parameter = Range | Choice


def read_parameter(name: str, node: Node, variants: Sequence[Variant], catalog: Catalog) -> Parameter:
    """One field of a grid's `search.space`.

    Args:
        name: of the field.
        node: `{low, high, log}`, or a list of choices.
        variants: every one of them must take each value.
        catalog: resolves arguments of the models.

    Raises:
        InputError: with the place of what is wrong.
    """
    if name in NEVER_SEARCHED:
        raise node.key_error(f"{name} cannot be searched: {NEVER_SEARCHED[name]}")
    if not name.startswith(MODEL) and name not in Recipe.model_fields:
        arguments = {key for variant in variants for key in variant.model.arguments}
        if name in arguments:
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
    if isinstance(node.value, list):
        choices = [_typed(name, one, variants, catalog) for one in node.value]
        if len(choices) < 2:
            raise node.error(f"{len(choices)} leaves nothing to choose; give two values or more")
        for number, one in enumerate(node.value):
            if any(choices[number] == earlier for earlier in choices[:number]):
                raise one.error(f"{shown(one.value)} is given twice; keep one")
        return Choice(name=name, choices=tuple(choices))
    fields = node.mapping("a range or a list of choices", ("low", "high", "log"))
    low, high = (_typed(name, required(node, end), variants, catalog) for end in ("low", "high"))
    if isinstance(low, bool | str | None) or isinstance(high, bool | str | None):
        raise node.error(f"{name} is no number, so it has no range; list the choices, as [{shown(low)}, …]")
    log = fields["log"].value if "log" in fields else False
    if not isinstance(log, bool):
        raise fields["log"].error(f"{shown(log)} is not true or false; use log: true for equal factors")
    if low >= high:
        raise fields["low"].error(f"{low:g} is not below high, {high:g}; swap them, or leave {name} out")
    if log and low <= 0:
        raise fields["low"].error(f"{low:g} has no place on a log scale; use more than 0, or log: false")
    return Range(name=name, low=low, high=high, log=log)


def _typed(name: str, node: Node, variants: Sequence[Variant], catalog: Catalog) -> Scalar:
    """One value of a field, as the recipe has it or as every model takes it."""
    value: Scalar = node.plain()
    if not name.startswith(MODEL):
        check_value(Recipe, name, node)
        annotation = Recipe.model_fields[name].rebuild_annotation()
        return cast("Scalar", TypeAdapter(annotation, config=ConfigDict(strict=True)).validate_python(value))
    argument = name.removeprefix(MODEL)
    for variant in variants:
        arguments = {**variant.model.arguments, argument: node.plain()}
        try:
            value = catalog.resolve_model(variant.model.name, arguments).arguments[argument]
        except SpecError as error:
            raise node.error(f"{variant.label}: {error.message}") from error
    return value
