"""What a person should know of planned cells before they are trained, in sentences. Imports no torch."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nin_bench.errors import some_of
from nin_bench.planning import PlannedCell
from nin_bench.results.former import FormerCell, describe_former
from nin_bench.results.probes import ProbeState
from nin_bench.results.sharing import differing_versions


def outdated_notes(planned: Iterable[PlannedCell]) -> list[str]:
    """A sentence for each reason why cells are outdated."""
    counts = Counter(one.reason for one in planned if one.reason and one.state == "outdated")
    remedy = "; a run trains anew, unless given --accept-code-changes"
    return [
        f"{count} {'cell is' if count == 1 else 'cells are'} outdated: {reason}"
        + (remedy if reason.startswith("the code") else "")
        for reason, count in counts.items()
    ]


def more_epochs_notes(planned: Iterable[PlannedCell]) -> list[str]:
    """A sentence for each reason why cells start over although fewer epochs of them were trained."""
    counts = Counter(one.reason for one in planned if one.reason and one.state == "missing")
    return [
        f"{count} {'cell starts' if count == 1 else 'cells start'} over with more epochs: {reason}"
        for reason, count in counts.items()
    ]


def probe_notes(planned: Iterable[PlannedCell]) -> list[str]:
    """A sentence for each reason why cells that are done lack probes."""
    counts = Counter(one.probes for one in planned if one.state in ("done", "reuse"))
    remedies: dict[ProbeState, str] = {
        "to make": "a run makes them from kept weights",
        "no weights": "their weights were not kept; --fresh trains anew",
    }
    return [
        f"probes of {count} {'cell that is' if count == 1 else 'cells that are'} done are missing: {remedy}"
        for state, remedy in remedies.items()
        if (count := counts[state])
    ]


def sharing_notes(planned: Iterable[PlannedCell], environment: Mapping[str, Any]) -> list[str]:
    """A sentence for each folder that cells are taken over from, with the versions that differ there."""
    counts: Counter[str] = Counter()
    versions: dict[str, dict[str, None]] = {}
    for shared in (one.shared for one in planned if one.shared):
        counts[shared.source] += 1
        versions.setdefault(shared.source, {}).update(
            dict.fromkeys(differing_versions(shared.record, environment))
        )
    return [
        f"{count} {'cell is' if count == 1 else 'cells are'} taken over from {source}"
        + (f", trained with {some_of(list(versions[source]))}" if versions[source] else "")
        for source, count in counts.items()
    ]


def plan_notes(
    planned: Sequence[PlannedCell], environment: Mapping[str, Any], former: Sequence[FormerCell]
) -> list[str]:
    """What a person should know of a grid's cells before they are trained, a sentence each."""
    left_out = describe_former(former)
    return [
        *sharing_notes(planned, environment),
        *outdated_notes(planned),
        *more_epochs_notes(planned),
        *probe_notes(planned),
        *([left_out] if left_out else []),
    ]
