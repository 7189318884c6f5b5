"""The JSON Schema of grid files, so that an editor checks and completes them.

It names every registered model and its arguments; printing the shipped copy needs no torch, making it anew does.
"""

from importlib import resources
from typing import Any

from nin_bench.cell import DataSpec, Recipe, Spec
from nin_bench.grid.hypotheses import Hypothesis

SCHEMA_FILE = "grid.schema.json"
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}
_PATTERN = {"type": "object", "description": "Matches a variant when every field it names is equal."}


def shipped_schema() -> str:
    """The schema as the package ships it, of the built-in models."""
    return (resources.files("nin_bench.grid") / SCHEMA_FILE).read_text(encoding="utf-8")


def grid_schema() -> dict[str, Any]:
    """The schema made anew from the registry, installed models included."""
    from nin_bench.models import list_models

    sections = {
        "data": {"$ref": "#/$defs/data"},
        "recipe": {"$ref": "#/$defs/recipe"},
        "seeds": {
            "description": "How many seeds, counted from 0, or a list of them.",
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "array", "items": {"type": "integer", "minimum": 0}, "uniqueItems": True, "minItems": 1},
            ],
        },
        "models": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/model"}},
        "exclude": {"type": "array", "items": _PATTERN},
        "baseline": _PATTERN,
        "hypotheses": {"type": "array", "items": {"$ref": "#/$defs/hypothesis"}},
    }
    grid = {
        "schema": {"const": 1},
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$"},
        **sections,
        "profiles": {"type": "object", "additionalProperties": _object(sections)},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nin_bench grid",
        **_object(grid, required=["schema", "name", "models"]),
        "$defs": {
            "data": _object(_properties(DataSpec)),
            "recipe": _object(_properties(Recipe)),
            "model": {"oneOf": [_model(name) for name in list_models()]},
            "hypothesis": _hypothesis(),
        },
    }


def _object(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": required} if required else schema


def _properties(spec: type[Spec]) -> dict[str, Any]:
    """A Spec's fields; each value may be a list, which is an axis."""
    properties = spec.model_json_schema()["properties"]
    return {key: _or_axis({k: v for k, v in value.items() if k != "title"}) for key, value in properties.items()}


def _or_axis(value: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [value, {"type": "array", "items": value, "minItems": 1}]}


def _model(name: str) -> dict[str, Any]:
    from nin_bench.models import model_arguments, model_summary

    arguments = {}
    for key, argument in model_arguments(name).items():
        kind: dict[str, Any] = {"type": _TYPES[argument.type], "description": argument.description}
        if argument.choices:
            kind["enum"] = list(argument.choices)
        if argument.default is None:
            kind = {"anyOf": [kind, {"type": "null"}]}
        arguments[key] = _or_axis(kind)
    properties = {"name": {"const": name}, **arguments, "recipe": {"$ref": "#/$defs/recipe"}}
    return {"description": model_summary(name), **_object(properties, required=["name"])}


def _hypothesis() -> dict[str, Any]:
    schema = Hypothesis.model_json_schema()
    properties = {
        key: {k: v for k, v in value.items() if k != "title"} for key, value in schema["properties"].items()
    }
    properties["compare"] = {"type": "array", "items": _PATTERN, "minItems": 2, "maxItems": 2}
    return _object(properties, required=schema["required"])
