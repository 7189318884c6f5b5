"""Load a grid and expand it into cells. Imports no torch, so planning is instant.

A list in place of a value is an axis; the grid is the product of its axes, less what `exclude` matches.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, SkipValidation

from nin_bench.cell import Cell, DataSpec, Recipe
from nin_bench.errors import InputError, counted, some_of
from nin_bench.grid.ablation import model_entries
from nin_bench.grid.claims import (
    check_probes,
    resolve_baseline,
    resolve_hypothesis,
    resolve_reference,
    until_decided,
)
from nin_bench.grid.document import (
    check_models_from,
    header_comment,
    read_document,
    read_overrides,
    read_text,
    trials_override,
    with_profile,
)
from nin_bench.grid.entries import Catalog
from nin_bench.grid.file import Assumption, GridFile, UntilEntry
from nin_bench.grid.match import find_widths, same_networks
from nin_bench.grid.patterns import Exclusion, PatternIndex
from nin_bench.grid.refusals import Refusals, validated
from nin_bench.grid.search import SearchSpec, read_search, refuse_repeated, search_seeds
from nin_bench.grid.variants import Entry, Option, Variant, check_distinct, drafts, options
from nin_bench.grid.yaml_source import Node
from nin_bench.results.artefact import Machine
from nin_bench.results.schema import PlannedId, Question, ResolvedGrid

MAX_CELLS = 10_000
"""More than this is refused unless the user says yes: a slip in an axis, more often than a plan."""
MOST_CELLS = 100_000
"""More than this is refused even so: expanding them would take memory by the gigabyte."""


class Grid(Question):
    """The question: variants and seeds in a fixed order, and the claims about them."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    variants: SkipValidation[tuple[Variant, ...]]
    cells: SkipValidation[tuple[Cell, ...]]
    """All that is planned, variant by variant."""
    selected: SkipValidation[tuple[Cell, ...]]
    """The cells that `--seeds` and `--only` leave to be run now."""
    assume: dict[str, Assumption]
    """The assumed spread over seeds, by metric."""
    notes: tuple[str, ...]
    """What is not wrong, and yet hardly meant: patterns that exclude nothing, widths that change nothing."""
    search: SearchSpec | None
    """What `search` tries for every variant; None where the grid does not say."""
    overrides: tuple[str, ...]
    """What `--set` laid over the file."""

    def __repr__(self) -> str:
        size = f"{len(self.variants)} variants, {len(self.cells)} cells"
        return f"Grid({self.name!r}, profile {self.profile!r}: {size})"

    @property
    def summary(self) -> str:
        """What the grid holds, in a line."""
        return (
            f"{self.name}, profile {self.profile}: {counted(len(self.variants), 'variant')}, "
            f"{counted(len(self.seeds), 'seed')}, {counted(len(self.selected), 'cell')} selected"
        )

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
        only: str | Sequence[str] | None = None,
        allow_many: bool = False,
        trials: int | None = None,
    ) -> "Grid":
        """Read a grid file and expand it; `nin_bench.load_grid` says what the arguments mean.

        Raises:
            InputError: with file, line, column, field, the value found and what would be right;
                MultipleInputError of several.
        """
        text = read_text(path)
        chosen, root = with_profile(read_document(text, str(path)), profile, has_accelerator)
        over = read_overrides(overrides)
        if trials is not None and "search" in root.value:
            root = root.merged(trials_override(trials))
        check_models_from(root, path)
        whole = root.merged(over)
        file = validated(GridFile, whole, catalog)
        data, recipe, recipe_over = whole.section("data"), root.section("recipe"), over.section("recipe")
        planned = _planned(file.seeds)
        entries = [
            Entry(
                entry,
                node,
                data.merged(node.section("data")).merged(over.section("data")) if "data" in node.value else data,
                recipe.merged(node.section("recipe")).merged(recipe_over),
            )
            for entry, node in model_entries(file, whole, MOST_CELLS)
        ]
        _check_size(entries, len(planned), root, allow_many=allow_many)
        until = until_decided(file, root) if isinstance(file.seeds, UntilEntry) else None
        exclusion = Exclusion(file.exclude, root.at("exclude"), planned)
        expanded = _expand(entries, exclusion, catalog)
        if not expanded:
            raise root.at("exclude").error("removes every cell; remove a pattern")
        variants = tuple(variant for variant, _ in expanded)
        check_distinct(variants)
        cells = tuple(variant.cell(seed) for variant, seeds_left in expanded for seed in seeds_left)
        index = PatternIndex(variants)

        refusals = Refusals()
        baseline, hypotheses, references, search = None, [], [], None
        with refusals.gather():
            baseline = resolve_baseline(file, root, index)
        for number, hypothesis in enumerate(file.hypotheses):
            with refusals.gather():
                hypotheses.append(resolve_hypothesis(hypothesis, root.at("hypotheses", number), index))
        for number, reference in enumerate(file.references):
            with refusals.gather():
                references.append(resolve_reference(reference, root.at("references", number), index))
        with refusals.gather():
            check_probes(file.probes, root.at("probes"), variants)
        with refusals.gather():
            search = read_search(file.search, root, recipe_over, variants, catalog) if file.search else None
        refusals.raise_any()

        return cls(
            name=file.name,
            profile=chosen,
            question=header_comment(text, "Question"),
            expect=header_comment(text, "Expect"),
            source=text,
            class_names=_class_names(variants, catalog),
            data=_shared([variant.data.model_dump() for variant in variants]),
            recipe={**Recipe().model_dump(), **recipe.merged(recipe_over).plain()},
            seeds=tuple(planned),
            until_decided=until,
            variants=variants,
            cells=cells,
            selected=_selected(cells, planned, seeds, only),
            baseline=baseline,
            target=file.target,
            hypotheses=tuple(hypotheses),
            open_claims=tuple(file.open_claims),
            caveats=tuple(file.caveats),
            references=tuple(references),
            probes=file.probes,
            assume=file.assume,
            notes=(*exclusion.notes(), *same_networks(variants, catalog)),
            search=search,
            overrides=tuple(overrides),
        )

    @property
    def cell_ids(self) -> set[str]:
        """Ids of all cells, whether they are selected or not."""
        return {cell.cell_id for cell in self.cells}

    @property
    def search_seeds(self) -> tuple[int, ...]:
        """The seeds of a search, none of them among the run's."""
        return search_seeds(self.search.seeds, self.seeds) if self.search else ()

    def resolved(self, device_kind: str, machine: Mapping[str, Any] | None = None) -> ResolvedGrid:
        """The grid as grid.json keeps it, not locked yet."""
        ids = {variant.label: variant.variant_id for variant in self.variants}
        return ResolvedGrid(
            **{name: getattr(self, name) for name in Question.model_fields},
            variants=tuple(variant.resolved() for variant in self.variants),
            cells=tuple(
                PlannedId(cell_id=cell.cell_id, variant_id=ids[cell.label], label=cell.label, seed=cell.seed)
                for cell in self.cells
            ),
            device_kind=device_kind,
            machine=Machine.model_validate(machine) if machine else None,
        )


def _planned(seeds: int | list[int] | UntilEntry) -> Sequence[int]:
    """The seeds; a range where they are counted, since that count may be found too large yet."""
    if isinstance(seeds, list):
        return seeds
    return range(seeds.at_most if isinstance(seeds, UntilEntry) else seeds)


def _check_size(entries: Sequence[Entry], num_seeds: int, root: Node, *, allow_many: bool) -> None:
    """Refuse more cells than can be meant, before any is made, and axes that repeat a value."""
    count = sum(entry.num_variants for entry in entries) * num_seeds
    if count > MOST_CELLS:
        raise root.error(f"{count:,} cells before exclusions, over {MOST_CELLS:,}; shorten an axis")
    if count > MAX_CELLS and not allow_many:
        raise root.error(f"{count:,} cells before exclusions, over {MAX_CELLS:,}; shorten an axis, or pass --yes")
    refusals = Refusals()
    for axis in (axis for entry in entries for axis in entry.axes):
        with refusals.gather():
            refuse_repeated(axis)
    refusals.raise_any()


def _expand(
    entries: Sequence[Entry], exclusion: Exclusion, catalog: Catalog
) -> list[tuple[Variant, Sequence[int]]]:
    """Every variant that is not excluded, with its seeds; what is excluded need not be possible."""
    sets: dict[int, list[Option[DataSpec]]] = {}
    for data in {id(entry.data): entry.data for entry in entries}.values():
        if "name" not in data.value:
            raise data.error("lacks 'name'; add it")
        sets[id(data)] = options("data", data, DataSpec, catalog.resolve_data)
    every = [draft for entry in entries for draft in drafts(entry, sets[id(entry.data)], catalog)]
    left = exclusion.seeds_left([draft.variant for draft in every])
    kept = [draft for draft, seeds in zip(every, left, strict=True) if seeds]
    refusals = Refusals()
    refusals.add(*(draft.problem for draft in kept if draft.problem))
    refusals.raise_any()
    if any(draft.entry.file.match for draft in kept):
        variants = find_widths(every, kept, catalog)
        left = exclusion.seeds_left(variants)  # again, since patterns may name the width that was found
    else:
        variants = [draft.variant for draft in kept]
        left = [seeds for seeds in left if seeds]
    return [(variant, seeds) for variant, seeds in zip(variants, left, strict=True) if seeds]


def _shared(sections: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Every field with its value, or, where variants differ, with the list of their values."""
    keys = dict.fromkeys(key for section in sections for key in section)
    values = {key: list(dict.fromkeys(section.get(key) for section in sections)) for key in keys}
    return {key: found[0] if len(found) == 1 else found for key, found in values.items()}


def _class_names(variants: Sequence[Variant], catalog: Catalog) -> tuple[str, ...] | None:
    found = {tuple(catalog.class_names(data)) for data in {variant.data for variant in variants}}
    return found.pop() if len(found) == 1 else None


def _selected(
    cells: Sequence[Cell], planned: Sequence[int], seeds: Sequence[int] | None, only: str | Sequence[str] | None
) -> tuple[Cell, ...]:
    for seed in seeds or ():
        if seed not in planned:
            raise InputError(f"--seeds: {seed} is not among the grid's: {some_of(planned)}; add it there")
    labels = list(dict.fromkeys(cell.label for cell in cells))
    patterns = ["*"] if not only else [only] if isinstance(only, str) else only
    for pattern in patterns:
        if not any(fnmatchcase(label, pattern) for label in labels):
            raise InputError(f"--only: {pattern!r} matches no variant; there are: {some_of(labels)}")
    selected = tuple(
        cell
        for cell in cells
        if (seeds is None or cell.seed in seeds) and any(fnmatchcase(cell.label, one) for one in patterns)
    )
    if not selected:
        raise InputError("--seeds, --only: the grid excludes every cell that they select; select others")
    return selected
