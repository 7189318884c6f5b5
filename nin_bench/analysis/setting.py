"""The setting of a report, what was held fixed in it, and the caveats that follow."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nin_bench.analysis.tables import VariantRow
from nin_bench.results import Results


@dataclass(frozen=True)
class Setting:
    """What the cells were trained on, how, and where."""

    device_kind: str
    seeds: list[int]
    data: dict[str, Any]
    """Fields that are the same in every variant."""
    recipe: dict[str, Any]
    """Likewise."""
    differing: list[dict[str, Any]]
    """The other fields of data and recipe: section, field, value and the labels of its variants."""
    environment: dict[str, list[Any]]
    """Every value that records hold under a (dotted) name, the commonest first."""


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
    )


def compare_sections(
    variants: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Tell the fields of data and recipe that all variants share from those that differ.

    Args:
        variants: mappings with a label, data and recipe.

    Returns:
        The shared fields by section, and the others: section, field, value and the labels of its variants.
    """
    fixed: dict[str, dict[str, Any]] = {}
    differing: list[dict[str, Any]] = []
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
                differing += [
                    {"section": section, "field": field, "value": values[key], "labels": labels[key]}
                    for key in values
                ]
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


def caveats(results: Results, rows: Sequence[VariantRow], setting: Setting) -> list[str]:
    """What a reader has to know before believing the page: what the grid's author says first."""
    found = list(results.grid.caveats)
    if most := max((row.trained for row in rows), default=0):
        workers = setting.environment.get("workers", [])
        beside = f" with {workers[0]} workers side by side" if len(workers) == 1 and workers[0] != 1 else ""
        found += [
            f"Images per second and minutes are of training steps alone, seen while training{beside} and not "
            "measured on their own: no claim about speed follows from them.",
            "The deviation is over seeds, on one and the same test set, whose own uncertainty comes on top.",
        ]
        if most == 1:
            found.append("One seed each: a difference between two variants cannot be told from luck.")
        elif most < 5:
            found.append(f"At most {most} seeds each: only large differences can be told from luck.")
    if any(row.healthy.of < row.trained for row in rows):
        found.append("Some cells trained too few steps to tell whether their networks escaped chance level.")
    if any(row.healthy.count < row.healthy.of for row in rows):
        found.append(
            "Test accuracy over all trained cells mixes networks that learned with those that collapsed; "
            "given healthy, it leaves the failures out and flatters a variant that often fails. "
            "Read both beside the counts."
        )
    if num_missing := int((results.cells["outcome"] == "missing").sum()):
        found.append(
            f"{num_missing} of {len(results.cells)} planned cells have no record: all of this is preliminary."
        )
    if "lr" in setting.recipe:
        found.append(
            f"Every variant was trained with the same learning rate, {setting.recipe['lr']:g}; "
            "one that needs another is shown below its best."
        )
    else:
        found.append("Learning rates differ between variants; the records do not tell how they were chosen.")
    if any(variant.recipe.test_every_epoch for variant in results.grid.variants):
        found.append("The test images were read after every epoch, as a diagnostic; no choice used it.")
    if mixed := [name for name, values in setting.environment.items() if len(values) > 1]:
        found.append(f"The records come from more than one machine or version: {', '.join(mixed)} differ.")
    return found
