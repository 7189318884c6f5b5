"""Pydantic's errors in our words, each at its file, line, column and field."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from nin_bench.errors import InputError, MultipleInputError, shown, unknown_name
from nin_bench.grid.yaml_source import Node, PlacedError

Loc = tuple[str | int, ...]
"""Where an error is, as pydantic tells it: names of fields and positions in lists, from the outside in."""

AT_NAME = "[key]"
"""Ends the place of an error in a field's name; pydantic's own mark."""

ModelT = TypeVar("ModelT", bound=BaseModel)

_WHAT = {"GridFile": "a grid", "GridBody": "a profile", "ModelEntry": "a model", "MatchEntry": "a match"} | {
    "AblateEntry": "an ablation", "Changes": "a change",
    "Pattern": "a pattern", "CellPattern": "a pattern", "RangeEntry": "a range or a list of choices",
}  # fmt: skip
_KINDS = {
    "int_type": "a whole number; write digits, without quotes",
    "int_from_float": "a whole number; write digits, without quotes",
    "float_type": "a number; write digits, without quotes",
    "bool_type": "true or false",
    "string_type": "text; put it in quotes if it is meant so",
    "finite_number": "a finite number",
    "list_type": "a list; put brackets around it, or begin a line with a dash",
    "tuple_type": "a list; put brackets around it, or begin a line with a dash",
}
_BOUNDS = {
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le:g} or less",
    "multiple_of": "a multiple of {multiple_of:g}",
}
_PATTERNS = {
    r"\S": "text; write a sentence",
    "^[a-z0-9]": "a short name; use small letters, digits, - and _, at most 64",
}
_LISTS = {"list_type", "tuple_type", "too_short", "too_long"}


class Refusals:
    """Collects the errors of one grid, so that all of them are told at once."""

    def __init__(self) -> None:
        self._found: dict[str, InputError] = {}

    @contextmanager
    def gather(self) -> Iterator[None]:
        """Keep an InputError that the block raises, and go on behind it."""
        try:
            yield
        except MultipleInputError as several:
            self.add(*several.errors)
        except InputError as error:
            self.add(error)

    def add(self, *errors: InputError) -> None:
        """Keep errors; one that is told already is kept once."""
        self._found |= {str(error): error for error in errors}

    def raise_any(self) -> None:
        """Raise what was found, in the file's order: InputError, or MultipleInputError of several."""
        found = sorted(self._found.values(), key=_place)
        if found:
            raise found[0] if len(found) == 1 else MultipleInputError(found)


def _place(error: InputError) -> tuple[int, int]:
    return (error.line, error.column) if isinstance(error, PlacedError) else (0, 0)


def wrong(message: str) -> PydanticCustomError:
    """What a field's validator raises."""
    return PydanticCustomError("refused", "{message}", {"message": message})


def refuse(problems: Iterable[tuple[Loc, str]]) -> None:
    """Refuse the fields of a section that are wrong together, or by the registry's word; called by its validators.

    Raises:
        ValidationError: pydantic adds the section's own place.
    """
    details = [InitErrorDetails(type=wrong(message), loc=loc, input=None) for loc, message in problems]
    if details:
        raise ValidationError.from_exception_data("grid", details)


def validated(model: type[ModelT], root: Node, context: object) -> ModelT:
    """Read a document as a pydantic model; InputError of every wrong field, with its place and a remedy."""
    refusals = Refusals()
    try:
        return model.model_validate(root.plain(), context=context)
    except ValidationError as error:
        refusals.add(*(_answer(dict(detail), model, root) for detail in error.errors(include_url=False)))
    refusals.raise_any()
    raise AssertionError("what cannot be validated has an error")


def _answer(detail: Mapping[str, Any], model: type[BaseModel], root: Node) -> InputError:
    loc, kind, value, context = detail["loc"], detail["type"], detail["input"], detail.get("ctx", {})
    node = root.at(*loc)
    field = next((part for part in reversed(loc) if _is_name(part)), "")
    if kind == "missing":
        return node.error(f"lacks {field!r}; add it")
    if kind == "extra_forbidden":
        if ":" in field:
            return node.key_error(f"{field!r} is no field; put a space after the colon")
        return node.key_error(unknown_name("field", field, _fields_at(model, loc)))
    if loc and loc[-1] == AT_NAME:
        return node.key_error(_message(kind, value, context, "field"))
    message = _message(kind, value, context, field)
    left_out = bool(loc) and _is_name(loc[-1]) and isinstance(node.value, dict) and root.at(*loc[:-1]) is node
    return node.error(f"{field}: {message}" if left_out else message)


def _is_name(part: str | int) -> bool:
    return isinstance(part, str) and not part.startswith(("[", "("))


def _message(kind: str, value: object, context: Mapping[str, Any], field: str) -> str:
    if kind == "refused":
        return str(context["message"])
    if kind == "value_error":
        return f"{shown(value)} {context['error']}"
    if kind == "model_type":
        what = _WHAT.get(context["class_name"].partition("[")[0], "a section")
        return f"{shown(value)} is not {what}; write a mapping of fields"
    if kind == "dict_type":
        return f"{shown(value)} is not a section; write a mapping of fields"
    if kind in ("too_short", "too_long"):
        least, most = context.get("min_length"), context.get("max_length")
        right = "at least one" if least == 1 and most is None else f"exactly {least or most}"
        return f"{context['actual_length'] or 'none'} given; give {right}"
    if isinstance(value, list | dict) and kind not in _LISTS:
        return f"{shown(value)} cannot stand here; give one value"
    if kind == "literal_error":
        choices = sorted(choice.strip("' ") for choice in context["expected"].replace(" or ", ",").split(","))
        if isinstance(value, str):
            return unknown_name(field, value, choices)
        return f"{shown(value)} is none of {', '.join(choices)}"
    if kind == "string_pattern_mismatch":
        right = next(text for start, text in _PATTERNS.items() if context["pattern"].startswith(start))
        return f"{shown(value)} is not {right}"
    if kind in _BOUNDS:
        return f"{shown(value)} is not in range; use {_BOUNDS[kind].format(**context)}"
    return f"{shown(value)} is not {_KINDS[kind]}"


def _fields_at(model: type[BaseModel], loc: Loc) -> list[str]:
    """The fields of the section that a place lies in."""
    for part in loc[:-1]:
        named = {field.alias or name: field for name, field in model.model_fields.items()}
        if part in named:
            model = _model_in(named[str(part)].annotation) or model
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
