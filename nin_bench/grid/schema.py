"""The JSON Schema of grid files, so that an editor checks and completes them.

It names every registered model and its arguments; printing the shipped copy needs no torch, making it anew does.
"""

from importlib import resources
from typing import Any

from nin_bench.cell import DataSpec, Recipe, Spec
from nin_bench.grid.hypotheses import Assumption, Hypothesis, OpenClaim
from nin_bench.grid.references import Reference
from nin_bench.grid.search import SearchSpec
from nin_bench.grid.space import MODEL, NEVER_SEARCHED
from nin_bench.grid.variants import SIZES
from nin_bench.metrics import METRICS

SCHEMA_FILE = "grid.schema.json"
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}
_SEED = {"type": "integer", "minimum": 0}


def shipped_schema() -> str:
    """The schema as the package ships it, of the built-in models."""
    return (resources.files("nin_bench.grid") / SCHEMA_FILE).read_text(encoding="utf-8")


def grid_schema() -> dict[str, Any]:
    """The schema made anew from the registry, installed models included."""
    from nin_bench.models import list_models

    models = list_models()
    sections = {
        "data": {"$ref": "#/$defs/data"},
        "recipe": {"$ref": "#/$defs/recipe"},
        "seeds": {
            "description": "How many seeds, counted from 0, or a list of them.",
            "anyOf": [{"type": "integer", "minimum": 1}, {**_list(_SEED), "uniqueItems": True}],
        },
        "models": {
            "description": "What is compared; a list in place of a value is an axis.",
            **_list({"$ref": "#/$defs/model"}),
        },
        "exclude": {
            "description": "Every cell that matches one of these is left out.",
            "type": "array",
            "items": {"$ref": "#/$defs/exclusion"},
        },
        "baseline": {"$ref": "#/$defs/pattern"},
        "hypotheses": {"type": "array", "items": {"$ref": "#/$defs/hypothesis"}},
        "open_claims": {
            "description": "What belongs to the question, and this grid cannot answer.",
            "type": "array",
            "items": _object(_properties(OpenClaim), required=["says", "reason"]),
        },
        "caveats": {
            "description": "What a reader of the report has to know: how rates were chosen, what may mislead.",
            "type": "array",
            "items": {"type": "string", "minLength": 1},
        },
        "references": {
            "description": "Published values that variants are held against.",
            "type": "array",
            "items": {"$ref": "#/$defs/reference"},
        },
        "assume": {
            "description": "By metric, the spread over seeds that `plan` reckons with where no record tells it.",
            **_object(
                {
                    name: _object(_properties(Assumption), required=["sd"])
                    for name, metric in METRICS.items()
                    if metric.kind == "quality"
                }
            ),
        },
        "search": {
            "description": "What `search` tunes, for every variant alike.",
            "$ref": "#/$defs/search",
        },
    }
    grid = {
        "schema": {"const": 1},
        "name": {
            "description": "Names the results folder.",
            "type": "string",
            "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$",
        },
        **sections,
        "profiles": {
            "description": "By name, what is laid over the grid: mappings key by key, lists replaced whole.",
            "type": "object",
            "propertyNames": {"pattern": "^[a-z0-9][a-z0-9_-]{0,63}$", "not": {"enum": ["auto", "full"]}},
            "additionalProperties": _object(sections),
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nin_bench grid",
        **_object(grid, required=["schema", "name", "data", "models"]),
        "$defs": {
            "data": _axes(DataSpec),
            "recipe": _axes(Recipe),
            "model": {"oneOf": [_model(name) for name in models]},
            "pattern": _pattern(models),
            "exclusion": _pattern(models, seed=_or_list(_SEED)),
            "hypothesis": _hypothesis(),
            "reference": _reference(),
            "search": _search(),
        },
    }


def _object(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": required} if required else schema


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1}


def _or_list(value: dict[str, Any]) -> dict[str, Any]:
    """A value or a list of such; what describes it stands outside of both."""
    about: dict[str, Any] = {key: value[key] for key in ("description", "default") if key in value}
    bare = {key: part for key, part in value.items() if key not in about}
    return {**about, "anyOf": [bare, _list(bare)]}


def _properties(spec: type[Spec]) -> dict[str, dict[str, Any]]:
    """A Spec's fields, each with its docstring."""
    properties = spec.model_json_schema()["properties"]
    for value in properties.values():
        del value["title"]
        if "description" in value:
            value["description"] = " ".join(value["description"].split())
    return dict(properties)


def _axes(spec: type[Spec]) -> dict[str, Any]:
    return _object({key: _or_list(value) for key, value in _properties(spec).items()})


def _model(name: str) -> dict[str, Any]:
    from nin_bench.models import model_arguments, model_summary

    arguments = {}
    for key, argument in model_arguments(name).items():
        kind: dict[str, Any] = {"type": _TYPES[argument.type]}
        if argument.choices:
            kind["enum"] = list(argument.choices)
        if argument.about.minimum is not None:
            kind["minimum"] = argument.about.minimum
        if argument.about.below is not None:
            kind["exclusiveMaximum"] = argument.about.below
        if argument.optional:
            kind = {"anyOf": [kind, {"type": "null"}]}
        arguments[key] = _or_list({**kind, "description": argument.description, "default": argument.default})
    recipe = {"description": "Goes over the grid's.", "$ref": "#/$defs/recipe"}
    properties = {"name": {"const": name}, **arguments, "recipe": recipe}
    if "width" not in arguments:
        return {"description": model_summary(name), **_object(properties, required=["name"])}
    match = {
        "description": "Choose the width at which it is as large as the one variant that a pattern matches.",
        **_object({size: {"$ref": "#/$defs/pattern"} for size in SIZES}),
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {
        "description": model_summary(name),
        **_object({**properties, "match": match}, required=["name"]),
        "not": {"required": ["width", "match"]},
    }


def _pattern(models: list[str], **others: dict[str, Any]) -> dict[str, Any]:
    """A pattern; models' arguments are left to the loader, since which there may be depends on the name."""
    return {
        "description": "Matches what is equal in every field it names, or in the field's list.",
        "type": "object",
        "properties": {
            "name": _or_list({"enum": models}),
            "recipe": {"$ref": "#/$defs/recipe"},
            "data": {"$ref": "#/$defs/data"},
            "match": {"description": "What its width was matched in.", **_or_list({"enum": [*SIZES, None]})},
            **others,
        },
    }


def _hypothesis() -> dict[str, Any]:
    properties = _properties(Hypothesis)
    properties["metric"] = {"enum": list(METRICS)}
    properties["compare"] = {
        "description": "Two patterns, each of one variant; the claim is about the first, relative to the second.",
        "type": "array",
        "items": {"$ref": "#/$defs/pattern"},
        "minItems": 2,
        "maxItems": 2,
    }
    one_of = [{"required": ["margin"]}, {"required": ["factor"]}]
    return {**_object(properties, required=Hypothesis.model_json_schema()["required"]), "oneOf": one_of}


def _reference() -> dict[str, Any]:
    pattern = {"description": "A pattern, of one variant.", "$ref": "#/$defs/pattern"}
    properties = {**_properties(Reference), "metric": {"enum": list(METRICS)}, "model": pattern}
    return _object(properties, required=Reference.model_json_schema()["required"])


def _search() -> dict[str, Any]:
    """The search; nothing is required of it, since a profile may give a part of it."""
    fields = {key: value for key, value in _properties(Recipe).items() if key not in NEVER_SEARCHED}
    properties = _properties(SearchSpec)
    properties["space"] = {
        "description": "Fields of the recipe, and `model.` with an argument that all models have.",
        **_object({key: _searched(value) for key, value in fields.items()}),
        "patternProperties": {
            f"^{MODEL.replace('.', '[.]')}": _searched(
                {"anyOf": [{"type": kind} for kind in (*_TYPES.values(), "null")]}
            )
        },
        "minProperties": 1,
    }
    return _object(properties)


def _searched(value: dict[str, Any]) -> dict[str, Any]:
    """A list of a field's values or, of a number, a range."""
    bare = {key: part for key, part in value.items() if key not in ("description", "default")}
    about = {"description": value["description"]} if "description" in value else {}
    choices = {**_list(bare), "minItems": 2, "uniqueItems": True}
    numbers = [one for one in bare.get("anyOf", [bare]) if one.get("type") in ("integer", "number")]
    ranges = [_object({"low": number, "high": number, "log": {"type": "boolean"}}) for number in numbers]
    return {**about, "anyOf": [*ranges, choices]} if ranges else {**about, **choices}
