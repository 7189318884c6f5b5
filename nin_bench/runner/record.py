"""Make a cell's record. Imports no torch."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from nin_bench.cell import Cell
from nin_bench.environment import without_folders
from nin_bench.results import Record
from nin_bench.results.records import Attempt, Devices, Epoch, Metrics


def now() -> str:
    """The time in UTC, as records keep it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def make_record(
    cell: Cell,
    outcome: str,
    *,
    started_at: str,
    error: str | None = None,
    metrics: Metrics | Mapping[str, Any] | None = None,
    history: Sequence[Epoch | Mapping[str, Any]] = (),
    environment: Mapping[str, Any] | None = None,
    earlier_attempts: Sequence[Attempt] = (),
    code_digest: str | None = None,
    batched_seeds: int | None = None,
    devices: Devices | None = None,
) -> Record:
    """A record of a cell's last attempt, which ends now.

    Arguments are fields of `Record`; folders of this machine are left out of the error.
    """
    attempt = {
        "outcome": outcome,
        "error": None if error is None else without_folders(error),
        "started_at": started_at,
        "finished_at": now(),
    }
    return Record.model_validate({
        "cell_id": cell.cell_id,
        "variant_id": cell.variant_id,
        "label": cell.label,
        "cell": cell.as_dict(),  # as it will be read
        "outcome": outcome,
        "attempts": [*earlier_attempts, attempt],
        "metrics": metrics or {},
        "history": history,
        "environment": dict(environment or {}),
        "code_digest": code_digest,
        "batched_seeds": batched_seeds,
        "devices": devices,
    })  # fmt: skip
