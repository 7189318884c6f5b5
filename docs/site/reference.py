"""Reference pages, made from the code: commands, fields of a grid, models, metrics, and the classes for Python."""

import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer
from typer.testing import CliRunner

import nin_bench
from nin_bench.cli import app
from nin_bench.grid.schema import shipped_schema
from nin_bench.metrics import METRICS
from nin_bench.results import records
from nin_bench.results import schema as results_schema

SECTIONS = {
    "data": "Data",
    "recipe": "Recipe",
    "hypothesis": "Hypotheses",
    "reference": "References",
    "search": "Search",
    "open_claim": "Open claims",
    "until_decided": "Seeds until decided",
    "match": "Match",
    "assumption": "Assumptions",
}
"""Parts of a grid, by their name in the schema."""
CLASSES = ("Record", "Metrics", "Epoch", "Attempt", "ResolvedGrid", "ResolvedVariant", "Hypothesis", "TakenLook")
"""Classes of the files in a results folder."""


@dataclass(frozen=True)
class ReferencePage:
    """A page, and what makes its text."""

    title: str
    path: str
    text: Callable[[], str]


def commands() -> str:
    """Every command with its arguments and options, as `--help` has them."""
    root: Any = typer.main.get_command(app)
    parts = ["# Commands", "`nin-bench` and `python -m nin_bench` are the same program."]
    for name in root.commands:
        told = CliRunner().invoke(app, [name, "--help"], prog_name="nin-bench", env={"COLUMNS": "100"}).stdout
        parts += [f"## {name}", f"```text\n{told.strip()}\n```"]
    return _page(parts)


def grids() -> str:
    """Every field of a grid file, from its schema."""
    schema = json.loads(shipped_schema())
    parts = ["# Fields of a grid", "docs/grids.md shows how they go together.", "## Top level", _fields(schema)]
    for name, title in SECTIONS.items():
        part = schema["$defs"][name]
        parts += [f"## {title}", _sentence(part.get("description", "")), _fields(part)]
    return _page(parts)


def models() -> str:
    """Every registered model with its arguments, from the schema."""
    parts = ["# Models", "Beside these: `torchvision/NAME`, `timm/NAME`, and models of your own file."]
    schema = json.loads(shipped_schema())["$defs"]
    common = set.intersection(*(set(one["properties"]) for one in schema["model"]["oneOf"]))
    for one in schema["model"]["oneOf"]:
        own = {key: value for key, value in one["properties"].items() if key not in common | {"match"}}
        name = one["properties"]["name"]["const"]
        parts += [f"## {name}", _sentence(one["description"]), _fields({"properties": own})]
    return _page(parts)


def metrics() -> str:
    """Every metric that a claim can name."""
    rows = [
        [f"`{one.name}`", _sentence(one.title), one.unit, one.kind, "higher" if one.higher_is_better else "lower"]
        for one in METRICS.values()
    ]
    kinds = (
        "Metrics of quality and rate are of networks, those of architecture of variants; `measured` ones are "
        "measured apart from training; no claim can rest on an `observed` one."
    )
    return _page(["# Metrics", kinds, _table(["metric", "title", "unit", "kind", "better"], rows)])


def python() -> str:
    """The functions and classes for Python."""
    parts = ["# Python", "docs/python.md, docs/results.md and docs/own_models.md show how they are used."]
    for name in nin_bench.__all__:
        found = getattr(nin_bench, name)
        if callable(found):
            parts += [
                f"## nin_bench.{name}",
                f"```python\n{name}{inspect.signature(found)}\n```",
                _docstring(found),
            ]
    parts.append("## Files of a results folder")
    for name in CLASSES:
        found = getattr(records, name, None) or getattr(results_schema, name)
        rows = [[f"`{field}`", _sentence(about.description or "")] for field, about in found.model_fields.items()]
        parts += [f"### {name}", _docstring(found), _table(["field", "meaning"], rows)]
    return _page(parts)


REFERENCE = (
    ReferencePage("Commands", "reference/commands.md", commands),
    ReferencePage("Fields of a grid", "reference/grids.md", grids),
    ReferencePage("Models", "reference/models.md", models),
    ReferencePage("Metrics", "reference/metrics.md", metrics),
    ReferencePage("Python", "reference/python.md", python),
)


def _fields(schema: Mapping[str, Any]) -> str:
    rows = [
        [
            f"`{name}`",
            json.dumps(about["default"]) if "default" in about else "",
            _sentence(about.get("description", "")),
        ]
        for name, about in schema["properties"].items()
    ]
    return _table(["field", "default", "meaning"], rows) if rows else "No arguments."


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}"]
    lines += [
        f"| {' | '.join(cell.replace('|', chr(92) + '|').replace('<', '&lt;') for cell in row)} |" for row in rows
    ]
    return "\n".join(lines)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _docstring(found: object) -> str:
    """A docstring; its lists of arguments and errors as code, which keeps their lines."""
    head, *rest = (inspect.getdoc(found) or "").split("\n\n")
    return "\n\n".join([head, *(f"```text\n{part}\n```" if ":\n" in part else part for part in rest)])


def _page(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"
