"""Digests of the code that builds a model, so that results of changed code are not taken for its own.

What counts is all that the model's function reaches: functions, classes and constants of its module and of the
modules of nin_bench.models that it imports, and what these modules do besides when they are imported. For a model
of another package, its package takes the place of nin_bench.models; for one of a user's own file, the files beside
it do. What computes nothing does not count: docstrings, comments, layout, annotations, and what errors say.
"""

import ast
import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

from nin_bench.models.registry import model_function
from nin_bench.plugins import OWN, own_file

_REGISTRY = "nin_bench.models.registry"
"""The module that knows and checks models, and computes nothing of them."""

_BESIDES = "(import)"
"""What a module does when it is imported, besides defining names."""

_IGNORED = frozenset({"annotation", "returns", "ctx", "kind", "type_comment", "type_params"})
"""Fields of the syntax tree that compute nothing, or that not every version of Python has."""

_Place = tuple[str, str | None]
"""A module, and a name in it; None for all of its names."""


def code_digest(model: str) -> str | None:
    """Sixteen hexadecimal digits, equal for equal code; None without source, SpecError for an unknown model."""
    digests = definition_digests(model)
    return _digest(dict(digests)) if digests else None


@cache
def definition_digests(model: str) -> Mapping[str, str]:
    """A digest for each definition that counts, sorted; empty if no source can be read.

    Definitions are known by `module.name`, the module below nin_bench.models or the model's own package; those of
    a user's own file by their name alone, so that the file may be renamed.

    Raises:
        SpecError: no model has that name.
    """
    function = model_function(model)
    package = function.__module__.partition(".")[0]
    root_name = {"nin_bench": "nin_bench.models", OWN: function.__module__}.get(package, package)
    found: dict[str, str] = {}
    root = _read(function.__module__)
    at_top = root is not None and function.__name__ in root.definitions
    todo: list[_Place] = [(function.__module__, function.__name__ if at_top else None)]
    seen = set()
    while todo:
        place = todo.pop()
        module = _read(place[0]) if _counts(place[0], package) else None
        if place in seen or module is None:
            continue
        seen.add(place)
        names = module.definitions if place[1] is None else {place[1], _BESIDES} & module.definitions.keys()
        for name in names:
            found[f"{module.name}.{name}".removeprefix(f"{root_name}.")] = _digest(module.definitions[name])
            todo += [(module.name, used) for used in module.uses[name]]
        todo += module.imported.get(place[1] or "", ())
    return dict(sorted(found.items()))


def _counts(module: str, package: str) -> bool:
    if package == "nin_bench":
        return module.startswith("nin_bench.models") and module != _REGISTRY
    if package == OWN and not module.startswith(package):
        own, beside = own_file(), getattr(sys.modules.get(module), "__file__", None)
        return own is not None and beside is not None and Path(beside).is_relative_to(own.parent)
    return module.partition(".")[0] == package


@dataclass(frozen=True)
class _Module:
    """A module's source, taken apart by the names that its top level defines."""

    name: str
    definitions: Mapping[str, list[Any]]
    """The statements that define each name, as plain lists."""
    uses: Mapping[str, set[str]]
    """The names that the statements of each name use."""
    imported: Mapping[str, list[_Place]]
    """Where import statements take each name from."""


@cache
def _read(name: str) -> _Module | None:
    """Take an imported module apart; None if there is no source."""
    module = sys.modules.get(name)
    try:
        tree = ast.parse(Path(getattr(module, "__file__", None) or "").read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    definitions: dict[str, list[Any]] = defaultdict(list)
    uses: dict[str, set[str]] = defaultdict(set)
    for statement in _statements(tree.body):
        for defined in _defined(statement):
            definitions[defined].append(_plain(statement))
            uses[defined] |= {node.id for node in _nodes(statement) if isinstance(node, ast.Name)}
    imported: dict[str, list[_Place]] = defaultdict(list)
    for node in ast.walk(tree):
        for local, place in _imports(node, getattr(module, "__package__", None) or ""):
            imported[local].append(place)
    return _Module(name, definitions, uses, imported)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run; those under `if TYPE_CHECKING` do not, but those of its `else` do."""
    for statement in body:
        match statement:
            case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"), orelse=other):
                yield from _statements(other)
            case _:
                yield statement


def _defined(statement: ast.stmt) -> list[str]:
    """The names that a statement of the top level defines."""
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [statement.name]
        case ast.Assign(targets=targets):
            nodes = (node for target in targets for node in ast.walk(target) if isinstance(node, ast.Name))
            return [node.id for node in nodes if isinstance(node.ctx, ast.Store)] or [_BESIDES]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.Import() | ast.ImportFrom():
            return []
    return [] if _is_text(statement) else [_BESIDES]


def _imports(node: ast.AST, package: str) -> Iterator[tuple[str, _Place]]:
    """Local names and where an import statement takes them from; a name may be a module's or in a module."""
    match node:
        case ast.Import(names=names):
            for alias in names:
                yield alias.asname or alias.name.partition(".")[0], (alias.name, None)
        case ast.ImportFrom(module=module, names=names, level=level):
            origin = resolve_name("." * level + (module or ""), package) if level else module or ""
            for alias in names:
                yield alias.asname or alias.name, (origin, alias.name)
                yield alias.asname or alias.name, (f"{origin}.{alias.name}", None)


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a syntax tree that compute something."""
    yield node
    for _, value in _fields(node):
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, ast.AST):
                yield from _nodes(part)


def _fields(node: ast.AST) -> Iterator[tuple[str, Any]]:
    """The fields of a node that compute something; what is raised does not."""
    fields = () if isinstance(node, ast.Raise) else ast.iter_fields(node)
    return ((name, value) for name, value in fields if name not in _IGNORED)


def _plain(value: Any) -> Any:
    """A syntax tree as lists, equal for code that computes the same by its text, in any version of Python."""
    match value:
        case ast.AST():
            known = [[name, _plain(part)] for name, part in _fields(value) if part not in (None, [])]
            return [type(value).__name__, *known]
        case list():
            return [_plain(part) for part in value if not _is_text(part)]
    return repr(value)


def _is_text(node: Any) -> bool:
    """Whether it is a statement of mere text, such as a docstring."""
    return (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    )


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
