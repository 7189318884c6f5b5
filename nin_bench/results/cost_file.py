"""A costs file, `costs/<variant-id>.json`: its form and its entries. Imports no torch.

An entry is what one machine measured of one variant; entries of several machines stand side by side and are never
mixed. Entries with the same `measured_at` (when their measuring began) were measured in the same rounds, so that
their samples can be paired by index.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from nin_bench.errors import shown
from nin_bench.files import DamagedFileError
from nin_bench.results.cost_entry import CostEntry, Entry, num_rounds

COSTS_SCHEMA = 1


class _Costs(BaseModel):
    model_config = ConfigDict(strict=True)

    label: str
    entries: list[CostEntry]


def entry_of(costs: Mapping[str, Any], fingerprint: str) -> Entry | None:
    """The entry of one machine, or None."""
    return next((entry for entry in costs["entries"] if entry["machine"]["fingerprint"] == fingerprint), None)


def with_entry(costs: Mapping[str, Any] | None, entry: Entry, *, is_whole: bool) -> list[Entry]:
    """A file's entries with one more, which takes the place of the same machine's.

    Args:
        costs: the file, if there is one.
        entry: what was measured.
        is_whole: whether all was measured that was asked for. If not, as when it failed, was cut short or is still
            going on, an entry of more rounds stays: no measuring costs anything that is known.
    """
    entries: list[Entry] = [] if costs is None else list(costs["entries"])
    fingerprint = entry["machine"]["fingerprint"]
    earlier = None if costs is None else entry_of(costs, fingerprint)
    if not is_whole and num_rounds(earlier) > num_rounds(entry):
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
