"""The tuned grid: the same file, each variant's best recipe filled in, for a person to read and then to run.

The text is spliced where the parser says that an entry begins and ends, so that everything else, comments too,
stays as it was written.
"""

import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from yaml.nodes import CollectionNode, MappingNode, Node, SequenceNode

from nin_bench.cell import Scalar
from nin_bench.environment import without_folders
from nin_bench.errors import InputError, ResultsError, printable
from nin_bench.files import write_atomically
from nin_bench.grid import Grid, Variant
from nin_bench.grid.entries import Catalog
from nin_bench.grid.search import MODEL, with_params
from nin_bench.grid.yaml_source import parse_yaml
from nin_bench.results import ResultsFolder
from nin_bench.results.studies import find_study

SUFFIX = "_tuned"
_DIGEST = "# Written by `nin_bench search`; it replaces this file unless it was edited: sha256 "
_OF_THE_SEARCHED = re.compile(r"^# (?:Run|Expect|Tuned):.*\n(?:#  .*\n)*", re.MULTILINE)
"""What opening comments say of the grid that was searched, the lines by which that goes on among it."""
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Chosen:
    """What a search found for a variant."""

    params: Mapping[str, Scalar]
    """Nothing where no trial trained: then the variant's own recipe stands."""
    comment: str
    """From which study, in how many trials, how good."""


def read_choices(grid: Grid, folder: ResultsFolder) -> dict[str, Chosen]:
    """What the studies of a results folder found, by variant id; who learned in no trial keeps its own recipe.

    Raises:
        ResultsError: what the search kept is damaged.
    """
    return {variant.variant_id: _chosen(grid, variant, folder) for variant in grid.variants}


def _chosen(grid: Grid, variant: Variant, folder: ResultsFolder) -> Chosen:
    assert grid.search is not None
    study = find_study(folder, variant.variant_id)
    if study is None:
        return Chosen({}, "not searched: its recipe is as it was")
    told = f"study {study.study_name}: {study.num_done} of {grid.search.trials} trials"
    best = study.best_trial
    if best is None or all(run.failed for run in best.runs):
        return Chosen({}, f"{told}, in none of which it learned: its recipe is as it was")
    assert best.value is not None
    assert study.chosen is not None
    value = f"{best.value:.2%}" if grid.search.in_points else f"{best.value:.4f}"
    reached = f"{grid.search.objective_title} {value} (n={len(best.runs)})"
    if study.chosen != best.params:
        values = ", ".join(f"{name}={value}" for name, value in best.params.items())
        reached = f"the top of a curve through their means; best of them {reached} at {values}"
    return Chosen(study.chosen, f"{told}, {reached}")


def check_tunable(grid: Grid, catalog: Catalog) -> None:
    """Rehearse the tuned grid with the ends of every range; InputError if it could not be read back."""
    assert grid.search is not None
    rehearsed = Chosen(next(grid.search.corners()), "." * 120)
    try:
        tuned_text(grid, {variant.variant_id: rehearsed for variant in grid.variants}, catalog, Path("tuned.yaml"))
    except InputError as error:
        raise InputError(
            f"{grid.name}: its tuned grid could not be read: {without_folders(str(error))}"
        ) from error


def tuned_text(grid: Grid, chosen: Mapping[str, Chosen], catalog: Catalog, path: Path) -> str:
    """The grid's text, each variant an entry with its best recipe; InputError if it grows beyond 64 KiB."""
    text = grid.source
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, MappingNode)
    holder = root if grid.profile == "full" else _child(_child(root, "profiles"), grid.profile)
    assert isinstance(holder, MappingNode)
    name = _child(root, "name")
    edits = [_Edit(name.start_mark.index, name.end_mark.index, grid.name + SUFFIX)]
    models, ablate = _child(holder, "models", default=None), _child(holder, "ablate", default=None)
    entries = [_entry(grid, variant, chosen) for variant in grid.variants]
    is_ablated = any(map(_is_ablated, grid.variants))
    if models is None:
        edits.append(_added(text, holder, "models", entries))
    elif is_ablated:
        start, column = models.start_mark.index, models.start_mark.column
        if models.flow_style:
            edits.append(_Edit(start, _end(models), f"[{_flow_items(entries, column)}]"))
        else:
            edits.append(_Edit(start - column, _end(models), _block_items(entries, column)))
    else:
        edits += _models_replaced(text, models, grid, chosen)
    if is_ablated:  # what it stands for is written out now, its baseline too
        if ablate is None:
            edits.append(_added(text, holder, "ablate", None))
        else:
            edits.append(_Edit(ablate.start_mark.index, _end(ablate), "null"))
        if grid.baseline and all(_child(part, "baseline", default=None) is None for part in (root, holder)):
            edits.append(_added(text, holder, "baseline", grid.baseline))
    for edit in sorted(edits, key=lambda edit: -edit.start):
        text = text[: edit.start] + edit.text + text[edit.end :]
    text = _with_heading(text, grid, path)
    _check(text, grid, chosen, catalog)
    return text


def check_unedited(path: Path) -> None:
    """Refuse, as ResultsError, to write over a file that somebody edited, or that a search never wrote."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise ResultsError(f"{path}: cannot be read ({error}); choose another --out") from error
    body, mark, digest = text.rpartition(_DIGEST)
    if not mark or digest.strip() != _digest(body):
        raise ResultsError(f"{path}: was edited, or not written by a search; move it, or choose another --out")


def write_tuned(path: Path, text: str) -> None:
    """Write a tuned grid, marked so that the next search knows if it was edited; raises as `check_unedited`."""
    check_unedited(path)
    body = text.rstrip("\n") + "\n"
    write_atomically(path, f"{body}{_DIGEST}{_digest(body)}\n")


@dataclass(frozen=True)
class _Edit:
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class _Entry:
    comment: str
    text: str


def _entry(grid: Grid, variant: Variant, chosen: Mapping[str, Chosen]) -> _Entry:
    """A variant as one entry of `models`."""
    choice = chosen[variant.variant_id]
    written = variant.entry.value
    fields: dict[str, Any] = {
        key: (node if key == "label" else variant.fields[key]).value  # a template fills itself in
        for key, node in written.items()
        if key not in ("name", "recipe", "data")
    }
    if _is_ablated(variant):
        fields["label"] = variant.label.replace("{", "{{").replace("}", "}}")
    data, recipe = (
        {
            key: getattr(spec, key)
            for key, value in shared.items()
            if (key in variant.entry.section(section).value or isinstance(value, tuple))
            and (section == "recipe" or f"data.{key}" in variant.fields)  # the rest is filled in
        }
        for section, spec, shared in (("data", variant.data, grid.data), ("recipe", variant.recipe, grid.recipe))
    )
    for name, value in choice.params.items():
        if name.startswith(MODEL):
            fields[name.removeprefix(MODEL)] = value
        else:
            recipe[name] = value
    sections = {key: section for key, section in (("data", data), ("recipe", recipe)) if section}
    fields = {"name": variant.model.name, **fields, **sections}
    return _Entry(printable(choice.comment), _flow(fields))


def _models_replaced(text: str, models: Node, grid: Grid, chosen: Mapping[str, Chosen]) -> list[_Edit]:
    """Every entry gives way to its variants; one whose variants are all excluded stays."""
    assert isinstance(models, SequenceNode)
    dashes = [token.start_mark.index for token in yaml.scan(text) if isinstance(token, yaml.BlockEntryToken)]
    edits = []
    for node in models.value:
        place = (node.start_mark.line + 1, node.start_mark.column + 1)
        variants = [variant for variant in grid.variants if (variant.entry.line, variant.entry.column) == place]
        if not variants:
            continue
        entries = [_entry(grid, variant, chosen) for variant in variants]
        start = node.start_mark.index
        if models.flow_style:
            edits.append(_Edit(start, _end(node), _flow_items(entries, models.start_mark.column)))
        else:
            dash = max(index for index in dashes if index < start)
            line = text.rfind("\n", 0, dash) + 1
            edits.append(_Edit(line, _end(node), _block_items(entries, dash - line)))
    return edits


def _added(text: str, mapping: MappingNode, key: str, value: list[_Entry] | str | None) -> _Edit:
    """A field at the end of the grid or of its profile: entries of models, or a scalar."""
    column = mapping.start_mark.column
    is_flow = mapping.flow_style
    end = mapping.end_mark.index - 1 if is_flow else text.find("\n", _end(mapping))
    end = len(text) if end == -1 else end
    comma = ", " if mapping.value and not text[:end].rstrip().endswith(",") else ""
    opening = f"{comma}{key}: " if is_flow else f"\n{' ' * column}{key}: "
    if not isinstance(value, list):
        return _Edit(end, end, f"{opening}{_flow(value)}")
    if is_flow:
        return _Edit(end, end, f"{opening}[{_flow_items(value, column)}]")
    return _Edit(end, end, f"{opening.rstrip()}\n{_block_items(value, column + 2)}")


def _is_ablated(variant: Variant) -> bool:
    return "ablate" in variant.entry.path.split(".")


def _block_items(entries: Sequence[_Entry], column: int) -> str:
    indent = " " * column
    return "\n".join(f"{indent}# {entry.comment}\n{indent}- {entry.text}" for entry in entries)


def _flow_items(entries: Sequence[_Entry], column: int) -> str:
    indent = " " * (column + 2)
    return ",".join(f"\n{indent}# {entry.comment}\n{indent}{entry.text}" for entry in entries)


def _end(node: Node) -> int:
    """Where a value ends; the parser's own mark of a block lies behind the comments that follow it."""
    if isinstance(node, CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(node, MappingNode) else last)
    return int(node.end_mark.index)


def _child(mapping: Node, key: str, **default: None) -> Any:
    assert isinstance(mapping, MappingNode)
    for name, value in mapping.value:
        if name.value == key:
            return value
    return default["default"]


def _with_heading(text: str, grid: Grid, path: Path) -> str:
    """Say behind the opening comments what this file is and how it is run, not how the searched grid was."""
    lines = text.splitlines()
    behind = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    # An absolute path would tell of whoever searched.
    options = ["--grid", path.name if path.is_absolute() else str(path), "--profile", grid.profile]
    for override in grid.overrides:
        options += ["--set", override]
    told = [
        f"# Run:      python -m nin_bench run {printable(shlex.join(options))}",
        f"# Tuned:    profile {grid.profile}: each variant's recipe is the best of its study",
    ]
    opening = _OF_THE_SEARCHED.sub("", "".join(f"{line}\n" for line in lines[:behind])).splitlines()
    return "\n".join([*opening, *told, *lines[behind:]]) + "\n"


def _check(text: str, grid: Grid, chosen: Mapping[str, Chosen], catalog: Catalog) -> None:
    """The text must be a grid of the very same variants, each with what was chosen for it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "tuned.yaml"
        path.write_text(text, encoding="utf-8")
        tuned = Grid.load(path, catalog, profile=grid.profile, overrides=grid.overrides, allow_many=True)
    wanted = [with_params(variant, chosen[variant.variant_id].params, catalog) for variant in grid.variants]
    assert [one.variant_id for one in tuned.variants] == [one.variant_id for one in wanted]


def _flow(value: Any) -> str:
    """A value in YAML's flow style, as people write it in a grid."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and parse_yaml(value, "").value == value
        return value if plain else json.dumps(value)
    return repr(value) if isinstance(value, float) else json.dumps(value)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
