"""Make a cell's record. Imports no torch."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from nin_bench.cell import Cell
from nin_bench.environment import without_folders
from nin_bench.metrics import METRICS
from nin_bench.results import Record

RECORDED = (
    *dict.fromkeys(metric.record for metric in METRICS.values() if metric.record is not None),
    "chance_loss", "chance_accuracy", "confusion", "num_tied", "lost_classes", "num_lost_classes", "num_dead_maps",
    "dead_maps", "num_steps", "failed_step",
)  # fmt: skip
"""What a record's metrics hold, null where it is not known: what claims are about, and what explains it."""


def now() -> str:
    """The time in UTC, as records keep it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def make_record(
    cell: Cell,
    outcome: str,
    *,
    started_at: str,
    error: str | None = None,
    metrics: Mapping[str, Any] | None = None,
    history: Sequence[Mapping[str, Any]] = (),
    environment: Mapping[str, Any] | None = None,
    earlier_attempts: Sequence[Mapping[str, Any]] = (),
) -> Record:
    """A record of a cell's last attempt; what is not given is null.

    Args:
        cell: what was tried.
        outcome: what came of it.
        started_at: when the attempt began, as `now` says it.
        error: what went wrong; folders of this machine are left out of it.
        metrics: what is known of the cell.
        history: a row for each epoch that ended.
        environment: where it ran.
        earlier_attempts: those of the cell's last record, which are kept.
    """
    unknown = set(metrics or {}) - set(RECORDED)
    assert not unknown, f"records hold no {', '.join(sorted(unknown))}"
    attempt = {
        "outcome": outcome,
        "error": None if error is None else without_folders(error),
        "started_at": started_at,
        "finished_at": now(),
    }
    return {
        "cell_id": cell.cell_id,
        "variant_id": cell.variant_id,
        "label": cell.label,
        "cell": cell.as_dict(),
        "outcome": outcome,
        "attempts": [*earlier_attempts, attempt],
        "metrics": {name: (metrics or {}).get(name) for name in RECORDED},
        "history": [*history],
        "environment": dict(environment or {}),
    }
