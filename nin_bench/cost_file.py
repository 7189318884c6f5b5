"""A costs file, `costs/<variant-id>.json`: its form, its entries, and what is read out of one. Imports no torch.

An entry is what one machine measured of one variant; entries of several machines stand side by side and are never
mixed. Entries with the same `measured_at` (when their session began) were measured in the same rounds, so that
their samples can be paired by index.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from nin_bench.cost_entry import CostEntry
from nin_bench.errors import shown
from nin_bench.files import DamagedFileError

COSTS_SCHEMA = 1

Entry = dict[str, Any]
"""What one machine measured of one variant."""

Distribution = dict[str, Any]
"""`median`, `quartiles` (first and third) and `samples`."""


class _Costs(BaseModel):
    model_config = ConfigDict(strict=True)

    label: str
    entries: list[CostEntry]


def distribution(samples: Sequence[float]) -> Distribution:
    """Samples with their median and quartiles, these interpolated linearly.

    >>> distribution([4.0, 1.0, 2.0, 3.0])
    {'median': 2.5, 'quartiles': [1.75, 3.25], 'samples': [4.0, 1.0, 2.0, 3.0]}
    """
    first, middle, third = (float(value) for value in np.percentile(samples, [25, 50, 75]))
    return {"median": middle, "quartiles": [first, third], "samples": list(samples)}


def entry_of(costs: Mapping[str, Any], fingerprint: str) -> Entry | None:
    """The entry of one machine, or None."""
    return next((entry for entry in costs["entries"] if entry["machine"]["fingerprint"] == fingerprint), None)


def num_rounds(entry: Entry | None) -> int:
    """Rounds that an entry holds: 0 where measuring failed, or for no entry."""
    return 0 if entry is None else int(entry["setting"]["num_rounds"])


def with_entry(costs: Mapping[str, Any] | None, entry: Entry) -> list[Entry]:
    """A file's entries with one more, which takes the place of the same machine's.

    One of fewer rounds does not: a session that failed or was cut short costs nothing that is known.
    """
    entries: list[Entry] = [] if costs is None else list(costs["entries"])
    fingerprint = entry["machine"]["fingerprint"]
    earlier = None if costs is None else entry_of(costs, fingerprint)
    if num_rounds(earlier) > num_rounds(entry):
        return entries
    return [other for other in entries if other is not earlier] + [entry]


def check_costs(costs: Mapping[str, Any], variant_id: str) -> None:
    """Refuse a file that is not what its place says.

    Raises:
        DamagedFileError: it is of another variant, something is missing or of the wrong kind; it says what.
    """
    if costs.get("variant_id") != variant_id:
        raise DamagedFileError(f"holds the costs of another variant, {shown(costs.get('variant_id'))}")
    try:
        _Costs.model_validate(costs)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DamagedFileError(f"is not as it was measured ({place}: {first['msg'].lower()})") from error


def cost_row(entry: Entry) -> dict[str, Any]:
    """An entry's headline figures, each a number or None, under the names that metrics have."""
    samples = {name: cost_samples(entry, name) for name in COST_SAMPLES}
    mfu, busy = entry["mfu"], _of(entry, "train", "busy_images_per_second")
    return {
        "measured_at": entry["measured_at"],
        "num_rounds": num_rounds(entry),
        "error": entry["error"],
        "num_params": entry["num_params"]["total"],
        "num_macs": entry["num_macs"]["total"],
        **{name: None if values is None else float(median(values)) for name, values in samples.items()},
        "busy_train_images_per_second": None if busy is None else busy["median"],
        "mfu": None if mfu is None else mfu["median"],
    }


def cost_samples(entry: Entry, metric: str) -> list[float] | None:
    """What an entry says of a metric, one value per round; None where it was not measured.

    Peak memory is measured once, before the rounds, and is a list of one.
    """
    return COST_SAMPLES[metric](entry)


def _of(entry: Entry, *place: str) -> Any:
    """What lies there; None where it, or anything on the way, is null."""
    found: Any = entry
    for key in place:
        if found is None:
            return None
        found = found[key]
    return found


def _samples_at(*place: str) -> Callable[[Entry], list[float] | None]:
    def samples(entry: Entry) -> list[float] | None:
        found = _of(entry, *place)
        return None if found is None else [float(value) for value in found["samples"]]

    return samples


def _latency(entry: Entry) -> list[float] | None:
    found = entry["latency_seconds"]
    return None if found is None else [median(of_round) for of_round in found["samples"]]


def _train_memory(entry: Entry) -> list[float] | None:
    peak = entry["memory_bytes"]["train_peak"]
    return None if peak is None else [float(peak)]


COST_SAMPLES: dict[str, Callable[[Entry], list[float] | None]] = {
    "train_images_per_second": _samples_at("train", "images_per_second"),
    "predict_images_per_second": _samples_at("predict", "images_per_second"),
    "latency_p50_seconds": _latency,
    "train_memory_bytes": _train_memory,
    "train_joules_per_image": _samples_at("energy_joules_per_image", "train"),
}
"""The metrics that are measured as costs, and where an entry has their samples."""
