"""Load a grid, lay its profile and the user's overrides over it, and expand it into cells. Imports no torch.

A list in place of a value is an axis; the grid is the product of its axes, less what `exclude` matches.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from nin_bench.cell import Cell, Recipe
from nin_bench.errors import InputError, unknown_name
from nin_bench.grid.hypotheses import Hypothesis, read_hypotheses
from nin_bench.grid.patterns import check_pattern, matches, the_one
from nin_bench.grid.validation import required, section
from nin_bench.grid.variants import Catalog, ModelEntry, Variant
from nin_bench.yaml_source import Node, parse_yaml, shown

SCHEMA = 1
MAX_CELLS = 10_000
"""More than this is refused unless the user says yes: a slip in an axis, more often than a plan."""

_FIELDS = (
    "schema", "name", "data", "recipe", "seeds", "models", "exclude", "baseline", "hypotheses", "profiles",
)  # fmt: skip
_PROFILE_FIELDS = _FIELDS[2:-1]
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Grid:
    """The question: variants and seeds in a fixed order, and the claims about them."""

    name: str
    profile: str
    question: str
    expect: str
    source: str
    data: dict[str, Any]
    recipe: dict[str, Any]
    seeds: tuple[int, ...]
    variants: tuple[Variant, ...]
    cells: tuple[Cell, ...]
    """All that is planned, variant by variant."""
    selected: tuple[Cell, ...]
    """Those that `--seeds` and `--only` leave to be run now."""
    baseline: str | None
    hypotheses: tuple[Hypothesis, ...]

    @classmethod
    def load(
        cls,
        path: Path,
        catalog: Catalog,
        *,
        profile: str = "auto",
        has_accelerator: bool = False,
        overrides: Sequence[str] = (),
        seeds: Sequence[int] | None = None,
        only: str | None = None,
        allow_many: bool = False,
    ) -> "Grid":
        """Read a grid file and expand it.

        Args:
            path: the YAML file.
            catalog: knows the registered models and datasets.
            profile: a profile of the grid; `full` is the grid as written; `auto` is `cpu` where there is no
                accelerator and the grid has such a profile, else `full`.
            has_accelerator: whether this machine has one.
            overrides: `recipe.epochs=2`, laid over everything else.
            seeds: run only these of the planned seeds.
            only: run only the variants whose label matches this shell pattern.
            allow_many: expand even more than 10,000 cells.

        Raises:
            InputError: with file, line, column, field, the value found and what would be right.
        """
        text = _read(path)
        root = parse_yaml(text, str(path))
        root.mapping("a grid", _FIELDS)
        chosen, root = _with_profile(root, profile, has_accelerator)
        fields = root.value
        over = _overrides(overrides)
        data_node = section(root, "data").merged(section(over, "data"))
        recipe_node = section(root, "recipe")
        planned = _seeds(root)
        entries = required(root, "models").sequence("a list of models")
        if not entries:
            raise fields["models"].error("empty; give at least one model")

        blocks = [ModelEntry.read(entry, data_node, recipe_node, over) for entry in entries]
        count = sum(block.num_variants for block in blocks) * len(planned)
        if count > MAX_CELLS and not allow_many:
            raise root.error(
                f"{count:,} cells before exclusions, over {MAX_CELLS:,}; shorten an axis, or pass --yes"
            )

        patterns = [
            (node, node.mapping("a pattern")) for node in _optional_list(root, "exclude", "a list of patterns")
        ]
        every = [variant for block in blocks for variant in block.variants(catalog)]
        _refuse_duplicates(every)
        for _, pattern in patterns:
            check_pattern(pattern, every, also=("seed",))
        cells: list[Cell] = []
        variants: list[Variant] = []
        for variant in every:
            left = [
                variant.cell(seed)
                for seed in planned
                if not any(matches(pattern, variant, seed) for _, pattern in patterns)
            ]
            cells += left
            variants += [variant] if left else []
        if not cells:
            raise root.error("no cell is left: exclude matches all of them")

        def resolve(node: Node) -> str:
            return the_one(node, variants).label

        return cls(
            name=_name(root),
            profile=chosen,
            question=_header(text, "Question"),
            expect=_header(text, "Expect"),
            source=text,
            data={**variants[0].data.model_dump(), **_axes(data_node)},
            recipe={**Recipe().model_dump(), **recipe_node.merged(section(over, "recipe")).plain()},
            seeds=tuple(planned),
            variants=tuple(variants),
            cells=tuple(cells),
            selected=_selected(cells, planned, seeds, only),
            baseline=resolve(fields["baseline"]) if "baseline" in fields else None,
            hypotheses=read_hypotheses(_optional_list(root, "hypotheses", "a list of hypotheses"), resolve),
        )

    def as_dict(self) -> dict[str, Any]:
        """Everything a report needs to know of the grid, as plain values."""
        ids = {variant.label: variant.variant_id for variant in self.variants}
        return {
            "name": self.name,
            "profile": self.profile,
            "question": self.question,
            "expect": self.expect,
            "source": self.source,
            "data": self.data,
            "recipe": self.recipe,
            "seeds": list(self.seeds),
            "baseline": self.baseline,
            "variants": [variant.as_dict() for variant in self.variants],
            "cells": [
                {
                    "cell_id": cell.cell_id,
                    "variant_id": ids[cell.label],
                    "label": cell.label,
                    "seed": cell.seed,
                }
                for cell in self.cells
            ],
            "hypotheses": [hypothesis.model_dump(mode="json") for hypothesis in self.hypotheses],
        }


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not text in UTF-8; save it so") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{str(path)!r} cannot be a file's name: {error}") from error


def _with_profile(root: Node, profile: str, has_accelerator: bool) -> tuple[str, Node]:
    profiles = section(root, "profiles").value
    for name, node in profiles.items():
        if name in ("full", "auto") or not _NAME.fullmatch(name):
            raise node.error(f"{name!r} cannot name a profile; use other small letters and digits")
        node.mapping("a profile", _PROFILE_FIELDS)
    if profile == "auto":
        profile = "cpu" if "cpu" in profiles and not has_accelerator else "full"
    if profile == "full":
        return profile, root
    if profile not in profiles:
        raise root.error(unknown_name("profile", profile, [*profiles, "full"]))
    return profile, root.merged(profiles[profile])


def _overrides(texts: Sequence[str]) -> Node:
    merged = Node({}, "--set", 1, 1)
    for text in texts:
        source = f"--set {text}"
        field, equals, value = text.partition("=")
        section, _, name = field.partition(".")
        if not equals or section not in ("recipe", "data") or not name:
            raise InputError(f"{source}: write --set recipe.FIELD=VALUE or --set data.FIELD=VALUE")
        node = replace(parse_yaml(value, source), path=field)
        merged = merged.merged(replace(node, value={section: replace(node, value={name: node})}))
    return merged


def _optional_list(root: Node, key: str, what: str) -> list[Node]:
    return root.value[key].sequence(what) if key in root.value else []


def _name(root: Node) -> str:
    schema = required(root, "schema")
    if schema.value != SCHEMA or isinstance(schema.value, bool):
        raise schema.error(f"{shown(schema.value)} is not a schema that this version reads; write {SCHEMA}")
    name = required(root, "name")
    if not isinstance(name.value, str) or not _NAME.fullmatch(name.value):
        raise name.error(
            f"{shown(name.value)} cannot name a folder; use small letters, digits, - and _, at most 64"
        )
    return name.value


def _seeds(root: Node) -> Sequence[int]:
    node = root.value.get("seeds", Node(1, root.source, root.line, root.column, "seeds"))
    values = node.plain()
    whole = [value for value in (values if isinstance(values, list) else [values]) if type(value) is int]
    if isinstance(values, list):
        if len(whole) == len(values) > 0 and min(whole) >= 0 and len(set(whole)) == len(whole):
            return whole
    elif whole and whole[0] >= 1:
        return range(whole[0])  # not yet a tuple: its length is checked first
    raise node.error(
        f"{json.dumps(values)} is neither a number of seeds, 1 or more, nor a list of distinct ones, 0 or more"
    )


def _axes(section: Node) -> dict[str, Any]:
    return {key: node.plain() for key, node in section.value.items() if isinstance(node.value, list)}


def _refuse_duplicates(variants: Sequence[Variant]) -> None:
    seen: dict[str, Variant] = {}
    for variant in variants:
        first = seen.setdefault(variant.variant_id, variant)
        if first is not variant:
            raise variant.entry.error(
                f"{variant.label!r} is the same experiment as {first.label!r} on line {first.entry.line}; drop one"
            )


def _selected(
    cells: Sequence[Cell], planned: Sequence[int], seeds: Sequence[int] | None, only: str | None
) -> tuple[Cell, ...]:
    for seed in seeds or ():
        if seed not in planned:
            raise InputError(f"--seeds: {seed} is none of the grid's {', '.join(map(str, planned))}; add it there")
    labels = sorted({cell.label for cell in cells})
    if only is not None and not any(fnmatchcase(label, only) for label in labels):
        raise InputError(f"--only: {only!r} matches no variant; there are: {'; '.join(labels)}")
    return tuple(
        cell
        for cell in cells
        if (seeds is None or cell.seed in seeds) and (only is None or fnmatchcase(cell.label, only))
    )


def _header(text: str, title: str) -> str:
    """What the comment at the file's top says after `# Title:`, its further lines joined."""
    found: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        comment = line.lstrip("#").strip()
        if re.match(r"[A-Z][a-z]+:", comment) or comment.startswith("yaml-language-server"):
            found += [comment.removeprefix(f"{title}:").strip()] if comment.startswith(f"{title}:") else []
            inside = comment.startswith(f"{title}:")
        elif found and inside:
            found.append(comment)
    return " ".join(found)
