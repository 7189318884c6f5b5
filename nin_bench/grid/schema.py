"""The JSON Schema of grid files, so that an editor checks and completes them.

It names every registered model and its arguments; printing the shipped copy needs no torch, making it anew does.
"""

from importlib import resources
from typing import Any

from nin_bench.cell import DataSpec, Recipe
from nin_bench.grid.file import GridFile
from nin_bench.grid.search import MODEL, NEVER_SEARCHED

SCHEMA_FILE = "grid.schema.json"
_NAMES = {
    "DataSpecAxes": "data", "RecipeAxes": "recipe", "ModelEntry": "model", "Pattern": "pattern",
    "CellPattern": "exclusion", "HypothesisEntry": "hypothesis", "ReferenceEntry": "reference",
    "SearchEntry": "search", "GridBody": "profile", "MatchEntry": "match", "RangeEntry": "range",
    "OpenClaim": "open_claim", "AblateEntry": "ablation", "Changes": "changes",
    "UntilEntry": "until_decided", "Assumption": "assumption", "Probes": "probes",
}  # fmt: skip
"""What the schema calls the parts of the grid's model."""
_LIBRARY = "^(torchvision|timm)/"
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def shipped_schema() -> str:
    """The schema as the package ships it, of the built-in models."""
    return (resources.files("nin_bench.grid") / SCHEMA_FILE).read_text(encoding="utf-8")


def grid_schema() -> dict[str, Any]:
    """The schema made anew from the grid's model and the registry, installed models included."""
    from nin_bench.models import list_models

    schema = _tidied(GridFile.model_json_schema())
    parts, models = schema["$defs"], list_models()
    for part, spec in (("data", DataSpec), ("recipe", Recipe)):
        for name, field in _tidied(spec.model_json_schema()["properties"]).items():
            parts[part]["properties"][name]["description"] = field["description"]
    entry = parts["model"]
    parts["model"] = {"oneOf": [_model(name, entry) for name in models]}
    parts["library_model"] = _library_model(entry)
    entries = {"anyOf": [{"$ref": f"#/$defs/{part}"} for part in ("model", "library_model")]}
    for body in (schema, parts["profile"]):
        body["properties"]["models"]["items"] = entries
    parts["ablation"]["properties"]["of"] = {
        "description": parts["ablation"]["properties"]["of"]["description"],
        **entries,
    }
    schema["anyOf"] = [{"required": ["models"]}, {"required": ["ablate"]}]
    names = [{"enum": models}, {"type": "string", "pattern": _LIBRARY}]
    for pattern in ("pattern", "exclusion"):
        parts[pattern]["properties"]["name"] = _or_list({"anyOf": names})
        parts[pattern] = {"anyOf": [{"type": "string", "description": "a variant's label"}, parts[pattern]]}
    for claim in (parts["hypothesis"], parts["open_claim"], parts["reference"]):
        claim["properties"]["says"] = claim["properties"]["claim"]
        claim["required"].remove("claim")
        claim.setdefault("allOf", []).append({"oneOf": [{"required": ["claim"]}, {"required": ["says"]}]})
    fields = {key: value for key, value in parts["recipe"]["properties"].items() if key not in NEVER_SEARCHED}
    space = parts["search"]["properties"]["space"]
    space |= {
        "properties": {key: _searched(value) for key, value in fields.items()},
        "patternProperties": {f"^{MODEL.replace('.', '[.]')}": space["additionalProperties"]},
        "additionalProperties": False,
        "minProperties": 1,
    }
    profiles = schema["properties"]["profiles"]
    ((pattern, body),) = profiles.pop("patternProperties").items()
    profiles |= {
        "propertyNames": {"pattern": pattern, "not": {"enum": ["auto", "full"]}},
        "additionalProperties": body,
    }
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "nin_bench grid"}
    return {**head, **schema}


def _tidied(value: Any) -> Any:
    """Without titles made of names and the defaults of whole sections, descriptions on one line."""
    if isinstance(value, list):
        return [_tidied(one) for one in value]
    if not isinstance(value, dict):
        return value
    tidied: dict[str, Any] = {}
    for key, one in value.items():
        if isinstance(one, str):
            if key == "$ref":
                one = "#/$defs/" + _NAMES.get(one.removeprefix("#/$defs/"), one.removeprefix("#/$defs/"))
            if key != "title":
                tidied[key] = " ".join(one.split())
        elif key == "$defs":
            tidied[key] = {_NAMES.get(name, name): _tidied(part) for name, part in one.items()}
        elif key != "default" or not isinstance(one, dict | list):
            tidied[key] = _tidied(one)
    return tidied


def _model(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of `models` of one model."""
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
        about = {"description": argument.description, "default": argument.default}
        arguments[key] = about | _or_list(kind)
    common = {key: value for key, value in entry["properties"].items() if key != "match" or "width" in arguments}
    schema = {
        "description": model_summary(name),
        "type": "object",
        "properties": {**common, "name": {"const": name}, **arguments},
        "required": ["name"],
        "additionalProperties": False,
    }
    return {**schema, "not": {"required": ["width", "match"]}} if "width" in arguments else schema


def _library_model(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of `models` of a network that a library has; what its arguments are, the library alone knows."""
    common = {key: value for key, value in entry["properties"].items() if key != "match"}
    return {
        "description": "A network of torchvision or timm.",
        "type": "object",
        "properties": {**common, "name": {"type": "string", "pattern": _LIBRARY}},
        "required": ["name"],
        "additionalProperties": _or_list({"type": ["boolean", "number", "string", "null"]}),
    }


def _or_list(value: dict[str, Any]) -> dict[str, Any]:
    return {"oneOf": [value, {"type": "array", "items": value, "minItems": 1}]}


def _searched(axis: dict[str, Any]) -> dict[str, Any]:
    """A list of a field's values or, of a number, a range."""
    value = axis["oneOf"][0]
    about = {"description": axis["description"]} if "description" in axis else {}
    choices = {"type": "array", "items": value, "minItems": 2, "uniqueItems": True}
    numbers = [one for one in _alternatives(value) if one.get("type") in ("integer", "number")]
    ranges = [
        {
            "type": "object",
            "properties": {"low": number, "high": number, "log": {"type": "boolean"}},
            "additionalProperties": False,
        }
        for number in numbers
    ]
    return {**about, "anyOf": [*ranges, choices]}


def _alternatives(value: dict[str, Any]) -> list[dict[str, Any]]:
    """The forms that a value may have, each by itself."""
    forms = value.get("anyOf") or value.get("oneOf")
    return [inner for one in forms for inner in _alternatives(one)] if forms else [value]
