"""Make a cell's record. Imports no torch."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from nin_bench.cell import Cell
from nin_bench.environment import without_folders
from nin_bench.results import Record
from nin_bench.results.records import Attempt, Epoch, Metrics


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
) -> Record:
    """A record of a cell's last attempt, which ends now.

    Args:
        cell: what was tried.
        outcome: what came of it.
        started_at: when the attempt began, as `now` says it.
        error: what went wrong; folders of this machine are left out of it.
        metrics: what is known of the cell; a name that records do not have is refused.
        history: a row for each epoch that ended.
        environment: where it ran.
        earlier_attempts: those of the cell's last record, which are kept.
        code_digest: of the model's code; None if it is not known.
        batched_seeds: how many seeds were trained as one batched model; None if it trained alone.
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
    })  # fmt: skip
