"""The setting of a run, and what was held fixed in it."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nin_bench.results import Results, ResultsFolder


@dataclass(frozen=True)
class FieldValue:
    """A value that some variants have of a field that differs between variants."""

    section: str
    field: str
    value: Any
    labels: list[str]


@dataclass(frozen=True)
class Setting:
    """What the cells were trained on, how, and where."""

    device_kind: str
    seeds: list[int]
    data: dict[str, Any]
    """Fields that are the same in every variant."""
    recipe: dict[str, Any]
    """Fields that are the same in every variant."""
    differing: list["FieldValue"]
    """The other fields of data and recipe, one for each value."""
    environment: dict[str, list[Any]]
    """Every value that records hold under a (dotted) name, the commonest first."""
    reused_from: dict[str, int]
    """How many cells were taken over from other results folders, by folder."""
    replayed: dict[str, int]
    """How many cells were trained again to see whether they repeat, by how that came out."""


def describe_setting(results: Results) -> Setting:
    """Data, recipe and machine: what every variant shares, and what differs between them."""
    grid = results.grid
    fixed, differing = compare_sections([variant.model_dump() for variant in grid.variants])
    return Setting(
        device_kind=grid.device_kind,
        seeds=list(grid.seeds),
        data=fixed["data"],
        recipe=fixed["recipe"],
        differing=differing,
        environment=environments(record.environment for record in results.records),
        reused_from=dict(Counter(record.reused_from for record in results.records if record.reused_from)),
        replayed=_replayed(results),
    )


def _replayed(results: Results) -> dict[str, int]:
    known = {record.cell_id for record in results.records}
    replays = ResultsFolder(results.folder).find_replays()
    return dict(Counter(cell.verdict for cell in replays.cells if cell.cell_id in known)) if replays else {}


def compare_sections(
    variants: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, dict[str, Any]], list[FieldValue]]:
    """Tell the fields that all variants (each with label, data, recipe) share from those that differ.

    Returns:
        The shared fields by section, and the values of the others.
    """
    fixed: dict[str, dict[str, Any]] = {}
    differing: list[FieldValue] = []
    for section in ("data", "recipe"):
        fields = dict.fromkeys(field for entry in variants for field in entry[section])
        fixed[section] = {}
        for field in fields:
            values: dict[str, Any] = {}
            labels: dict[str, list[str]] = {}
            for entry in variants:
                value = entry[section].get(field)
                values[json.dumps(value)] = value
                labels.setdefault(json.dumps(value), []).append(entry["label"])
            if len(values) == 1:
                fixed[section][field] = next(iter(values.values()))
            else:
                differing += [FieldValue(section, field, values[key], labels[key]) for key in values]
    return fixed, differing


def environments(found: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Every value under a (dotted) name, the commonest first."""
    counts: dict[str, Counter[str]] = {}
    # most records of a folder were made in the same one
    for environment, count in Counter(map(json.dumps, found)).items():
        for name, value in flatten(json.loads(environment)):
            counts.setdefault(name, Counter())[json.dumps(value)] += count
    return {name: [json.loads(value) for value, _ in counts[name].most_common()] for name in sorted(counts)}


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Every value under its dotted name."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
