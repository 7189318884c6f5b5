"""Fields described by the docstring below them, in a class's JSON Schema.

pydantic can do that by itself (`use_attribute_docstrings`), but then parses the source of every class at every
start of a command; here it is parsed where a schema is asked for.
"""

import ast
import inspect
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue


class Documented(BaseModel):
    """A model whose JSON Schema describes each field by the docstring below it."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler, /) -> JsonSchemaValue:
        reference = handler(core_schema)
        properties = handler.resolve_ref_schema(reference).get("properties", {})
        for one in reversed(cls.__mro__):
            for name, text in _field_docstrings(one):
                properties.get(name, {}).setdefault("description", text)
        return reference


def _field_docstrings(kind: type) -> Iterator[tuple[str, str]]:
    if not issubclass(kind, Documented):
        return
    try:
        source = inspect.getsource(kind)
    except OSError:  # pydantic's create_model made it
        return
    (body,) = ast.parse(inspect.cleandoc("\n" + source)).body
    assert isinstance(body, ast.ClassDef)
    for field, text in pairwise(body.body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(docstring))):
                yield name, docstring
