"""Check YAML fields against a Spec, and answer a wrong one at its place in the file."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from nin_bench.cell import Spec
from nin_bench.errors import InputError, SpecError, unknown_name
from nin_bench.yaml_source import Node, shown

Point = Mapping[str, Node]
"""One value per field, each with its place."""

SpecT = TypeVar("SpecT", bound=Spec)

_KINDS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text; put it in quotes if it is meant so",
    "finite_number": "a finite number",
    "list_type": "a list",
}
_BOUNDS = {
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le:g} or less",
}


def validated(spec: type[SpecT], fields: Point, place: Node) -> SpecT:
    """Build a Spec from YAML nodes.

    Args:
        spec: the class to build.
        fields: a node for each field given.
        place: where an error belongs that no single field causes.

    Raises:
        InputError: for the first wrong field, with its place, the value found and what would be right.
    """
    try:
        return spec.model_validate({key: node.plain() for key, node in fields.items()})
    except SpecError as error:
        raise fields.get(error.field, place).error(error.message) from error
    except ValidationError as error:
        raise _first_error(error.errors(include_url=False)[0], spec, fields, place) from error


def _first_error(detail: ErrorDetails, spec: type[Spec], fields: Point, place: Node) -> InputError:
    field = str(detail["loc"][0])
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    node = fields.get(field, place)
    if kind == "missing":
        return node.error(f"lacks {field!r}")
    if kind == "extra_forbidden":
        return node.error(unknown_name("field", field, spec.model_fields))
    if kind == "literal_error":
        choices = [choice.strip("' ") for choice in context["expected"].replace(" or ", ",").split(",")]
        return node.error(unknown_name(field, value, choices))
    if isinstance(value, list | dict):
        return node.error(f"{shown(value)} cannot stand here; give one value")
    return node.error(f"{shown(value)} is not {_right(kind, context, detail)}")


def _right(kind: str, context: Mapping[str, Any], detail: ErrorDetails) -> str:
    if kind in _BOUNDS:
        return f"in range; use {_BOUNDS[kind].format(**context)}"
    return _KINDS.get(kind, f"valid: {detail['msg']}")


def required(parent: Node, key: str) -> Node:
    """A field that must be there."""
    if key not in parent.value:
        raise parent.error(f"lacks {key!r}")
    node: Node = parent.value[key]
    return node


def section(parent: Node, key: str) -> Node:
    """A field that holds a mapping; an empty one where it is left out."""
    node: Node = parent.value.get(key, replace(parent, value={}, path=key))
    node.mapping("a section")
    return node
