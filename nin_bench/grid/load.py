"""Load a grid and expand it into cells. Imports no torch, so planning is instant.

A list in place of a value is an axis; the grid is the product of its axes, less what `exclude` matches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from nin_bench.cell import Cell, Recipe
from nin_bench.errors import InputError, shown, some_of
from nin_bench.grid.document import header_comment, read_document, read_overrides, read_text, with_profile
from nin_bench.grid.hypotheses import (
    Assumption,
    Hypothesis,
    OpenClaim,
    read_assumptions,
    read_caveats,
    read_hypotheses,
    read_open_claims,
)
from nin_bench.grid.match import expand
from nin_bench.grid.patterns import PatternIndex, the_one, without_excluded
from nin_bench.grid.references import Reference, read_references
from nin_bench.grid.search import SearchSpec, read_search, search_seeds
from nin_bench.grid.validation import required, section
from nin_bench.grid.variants import Catalog, ModelEntry, Variant
from nin_bench.results.schema import ResolvedGrid
from nin_bench.yaml_source import Node

MAX_CELLS = 10_000
"""More than this is refused unless the user says yes: a slip in an axis, more often than a plan."""
MOST_CELLS = 100_000
"""More than this is refused even so: expanding them would take memory by the gigabyte."""


@dataclass(frozen=True)
class Grid:
    """The question: variants and seeds in a fixed order, and the claims about them."""

    name: str
    profile: str
    """The one chosen, never `auto`."""
    question: str
    expect: str
    source: str
    """The file's text."""
    data: dict[str, Any]
    """What all models share: defaults filled in, axes as lists."""
    recipe: dict[str, Any]
    """Likewise; a model's own recipe goes over it."""
    seeds: tuple[int, ...]
    variants: tuple[Variant, ...]
    cells: tuple[Cell, ...]
    """All that is planned, variant by variant."""
    selected: tuple[Cell, ...]
    """Those that `--seeds` and `--only` leave to be run now."""
    baseline: str | None
    """A variant's label."""
    hypotheses: tuple[Hypothesis, ...]
    open_claims: tuple[OpenClaim, ...]
    caveats: tuple[str, ...]
    references: tuple[Reference, ...]
    assume: dict[str, Assumption]
    """By metric."""
    notes: tuple[str, ...]
    """What is not wrong, and yet hardly meant: patterns of `exclude` that match no cell."""
    search: SearchSpec | None
    """What `search` tries for every variant; None where the grid does not say."""
    overrides: tuple[str, ...]
    """What `--set` laid over the file."""

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
        trials: int | None = None,
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
            allow_many: expand even more than 10,000 cells, up to 100,000.
            trials: of the search, in place of the grid's own number.

        Raises:
            InputError: with file, line, column, field, the value found and what would be right.
        """
        text = read_text(path)
        chosen, root = with_profile(read_document(text, str(path)), profile, has_accelerator)
        over = read_overrides(overrides)
        data = section(root, "data").merged(section(over, "data"))
        recipe = section(root, "recipe")
        recipe_over = section(over, "recipe")
        planned = _seeds(root)
        if trials is not None and "search" in root.value:
            root = root.merged(_trials(trials))

        models = required(root, "models")
        entries = [
            ModelEntry.read(node, data, recipe, recipe_over) for node in models.sequence("a list of models")
        ]
        if not entries:
            raise models.error("empty; give at least one model")
        count = sum(entry.num_variants for entry in entries) * len(planned)
        if count > MOST_CELLS:
            raise root.error(f"{count:,} cells before exclusions, over {MOST_CELLS:,}; shorten an axis")
        if count > MAX_CELLS and not allow_many:
            raise root.error(
                f"{count:,} cells before exclusions, over {MAX_CELLS:,}; shorten an axis, or pass --yes"
            )
        every = expand(entries, catalog)
        _refuse_duplicates(every)

        exclude = _optional_list(root, "exclude", "a list of patterns")
        cells, notes = without_excluded(exclude, PatternIndex(every, catalog), planned)
        if not cells:
            raise root.value["exclude"].error("no cell is left; exclude fewer")
        labels = {cell.label for cell in cells}
        variants = tuple(variant for variant in every if variant.label in labels)
        for variant in variants:
            if variant.match and variant.match.to not in labels:
                raise variant.fields["match"].error(f"{variant.match.to} is excluded; match one that is compared")
        index = PatternIndex(variants, catalog)

        def resolve(node: Node) -> str:
            return the_one(node, index).label

        return cls(
            name=root.value["name"].value,
            profile=chosen,
            question=header_comment(text, "Question"),
            expect=header_comment(text, "Expect"),
            source=text,
            data=_shared([variant.data.model_dump() for variant in every]),
            recipe={**Recipe().model_dump(), **recipe.merged(recipe_over).plain()},
            seeds=tuple(planned),
            variants=variants,
            cells=cells,
            selected=_selected(cells, planned, seeds, only),
            baseline=resolve(root.value["baseline"]) if "baseline" in root.value else None,
            hypotheses=read_hypotheses(_optional_list(root, "hypotheses", "a list of hypotheses"), resolve),
            open_claims=read_open_claims(_optional_list(root, "open_claims", "a list of claims")),
            caveats=read_caveats(_optional_list(root, "caveats", "a list of sentences")),
            references=read_references(_optional_list(root, "references", "a list of references"), resolve),
            assume=read_assumptions(section(root, "assume")),
            notes=notes,
            search=read_search(root, recipe_over, variants, catalog),
            overrides=tuple(overrides),
        )

    @property
    def search_seeds(self) -> tuple[int, ...]:
        """The seeds of a search, none of them among the run's."""
        return search_seeds(self.search.seeds, self.seeds) if self.search else ()

    def resolved(self, device_kind: str, machine: Mapping[str, Any] | None = None) -> ResolvedGrid:
        """The grid as grid.json keeps it, not locked yet.

        Args:
            device_kind: what it runs on, `cpu` or `cuda`.
            machine: what `describe_machine` says of it.
        """
        return ResolvedGrid.model_validate({**self.as_dict(), "device_kind": device_kind, "machine": machine})

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
            "open_claims": [claim.model_dump() for claim in self.open_claims],
            "caveats": list(self.caveats),
            "references": [reference.model_dump() for reference in self.references],
        }


def _trials(count: int) -> Node:
    """`--trials`, as a document to lay over a grid."""
    node = Node(count, f"--trials {count}", 1, 1)
    return replace(node, value={"search": replace(node, value={"trials": node})})


def _optional_list(root: Node, key: str, what: str) -> list[Node]:
    return root.value[key].sequence(what) if key in root.value else []


def _seeds(root: Node) -> Sequence[int]:
    """The planned seeds; a range where they are counted, since that count may be found too large yet."""
    node = root.value.get("seeds", Node(1, root.source, root.line, root.column, "seeds"))
    if not isinstance(node.value, list):
        if type(node.value) is not int or node.value < 1:
            raise node.error(f"{shown(node.value)} is not a number of seeds; use 1 or more, or a list of seeds")
        return range(node.value)
    if not node.value:
        raise node.error("no seed; give at least one")
    seen: dict[int, None] = {}
    for one in node.value:
        if type(one.value) is not int or one.value < 0:
            raise one.error(f"{shown(one.value)} is not a seed; use a whole number, 0 or more")
        if one.value in seen:
            raise one.error(f"{one.value} is given twice; keep one")
        seen[one.value] = None
    return list(seen)


def _shared(sections: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Every field with its value, or, where variants differ, with the list of their values."""
    values = {key: list(dict.fromkeys(section[key] for section in sections)) for key in sections[0]}
    return {key: found[0] if len(found) == 1 else found for key, found in values.items()}


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
            raise InputError(f"--seeds: {seed} is not among the grid's: {some_of(planned)}; add it there")
    labels = list(dict.fromkeys(cell.label for cell in cells))
    if only is not None and not any(fnmatchcase(label, only) for label in labels):
        raise InputError(f"--only: {only!r} matches no variant; there are: {some_of(labels)}")
    selected = tuple(
        cell
        for cell in cells
        if (seeds is None or cell.seed in seeds) and (only is None or fnmatchcase(cell.label, only))
    )
    if not selected:
        raise InputError("--seeds, --only: the grid excludes every cell that they select; select others")
    return selected
