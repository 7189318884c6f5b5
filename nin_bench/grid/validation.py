"""Check YAML fields against a Spec, and answer a wrong one at its place in the file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from nin_bench.cell import Spec
from nin_bench.errors import InputError, SpecError, shown, unknown_name
from nin_bench.yaml_source import Node

Point = Mapping[str, Node]
"""One value per field, each with its place."""

SpecT = TypeVar("SpecT", bound=Spec)

_KINDS = {
    "int_type": "a whole number; write digits, without quotes",
    "int_from_float": "a whole number; write digits, without quotes",
    "float_type": "a number; write digits, without quotes",
    "bool_type": "true or false",
    "string_type": "text; put it in quotes if it is meant so",
    "string_too_short": "text; write a sentence",
    "string_pattern_mismatch": "a short name; use small letters, digits, - and _, at most 64",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "less than {lt:g}",
}


def validated(spec: type[SpecT], fields: Point, place: Node) -> SpecT:
    """Build a Spec from YAML nodes.

    Args:
        spec: the class to build.
        fields: a node for each field given.
        place: where an error belongs that no given field causes.

    Raises:
        InputError: for the first wrong field, with its place, the value found and what would be right.
    """
    try:
        return spec.model_validate({key: node.plain() for key, node in fields.items()})
    except SpecError as error:
        raise refusal(error, fields, place) from error
    except ValidationError as error:
        raise _answer(dict(error.errors()[0]), spec, fields, place) from error


class Named(Spec):
    """One of several that a section lists, told apart by their ids."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")


NamedT = TypeVar("NamedT", bound=Named)


def validated_each(
    spec: type[NamedT], nodes: Sequence[Node], what: str, resolved: Callable[[Point], Point]
) -> tuple[NamedT, ...]:
    """Read a section's list.

    Args:
        spec: the class of its entries.
        nodes: one for each.
        what: an error calls an entry so.
        resolved: puts labels of variants in the place of the patterns in an entry's fields.

    Raises:
        InputError: a field is wrong, a pattern does not match exactly one variant, an id is used twice.
    """
    read: dict[str, NamedT] = {}
    for node in nodes:
        fields = resolved(node.mapping(f"a {what}", spec.model_fields))
        entry = validated(spec, fields, node)
        if entry.id in read:
            raise fields["id"].error(f"{entry.id!r} is used twice; give each {what} its own id")
        read[entry.id] = entry
    return tuple(read.values())


def check_value(spec: type[Spec], field: str, node: Node) -> None:
    """Refuse a value that a field cannot have, whatever the others have."""
    try:
        spec.model_validate({field: node.plain()})
    except SpecError:
        pass  # the field's own value is right, and it is the others that it does not fit
    except ValidationError as error:
        for detail in error.errors():
            if detail["loc"][0] == field:
                raise _answer(dict(detail), spec, {field: node}, node) from error


def refusal(error: SpecError, fields: Point, place: Node) -> InputError:
    """A refusal with the place of the refused value, or, where the field was not given, of what lacks it."""
    node = fields.get(error.field)
    return node.error(error.message) if node else place.error(str(error))


def _answer(detail: Mapping[str, Any], spec: type[Spec], fields: Point, place: Node) -> InputError:
    """One of pydantic's errors, in our words."""
    field = str(detail["loc"][0])
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "missing":
        return place.error(f"lacks {field!r}; add it")
    node = fields[field]
    if kind == "extra_forbidden":
        return node.key_error(unknown_name("field", field, spec.model_fields))
    if isinstance(value, list | dict):
        return node.error(f"{shown(value)} cannot stand here; give one value")
    if kind == "literal_error":
        choices = sorted(choice.strip("' ") for choice in context["expected"].replace(" or ", ",").split(","))
        if isinstance(value, str):
            return node.error(unknown_name(field, value, choices))
        return node.error(f"{shown(value)} is none of {', '.join(choices)}")
    return node.error(f"{shown(value)} is not {_right(kind, context)}")


def _right(kind: str, context: Mapping[str, Any]) -> str:
    if kind in _BOUNDS:
        return f"in range; use {_BOUNDS[kind].format(**context)}"
    return _KINDS[kind]


def required(parent: Node, key: str) -> Node:
    """A field that must be there."""
    if key not in parent.value:
        raise parent.error(f"lacks {key!r}; add it")
    node: Node = parent.value[key]
    return node


def section(parent: Node, key: str) -> Node:
    """A field that holds a mapping; an empty one where it is left out."""
    node: Node = parent.value.get(key, replace(parent, value={}, path=key))
    node.mapping("a section")
    return node
