"""What came of training recorded cells again: `replay.json` of a results folder. Imports no torch."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from nin_bench.results.artefact import Artefact, Count, Id, Part, Tuple
from nin_bench.results.records import Record

ACCURACY_TOLERANCE = 0.05
"""How far the test accuracy of a replay may lie from the recorded one where bits cannot be expected to be equal.

On another kind of processor or with other versions roundings differ, and a training that rounds otherwise takes
another path. It is wider than the spread over seeds of a network that trains well, and narrower than a failure.
"""

_COMPUTES = ("torch", "torchvision", "numpy", "timm")
"""The packages in which networks, first weights, draws and sums are computed."""


class Difference(Part):
    """A value that did not repeat."""

    what: str
    """Where it stands in the record, as `metrics.test_accuracy` or `history.3.train_loss`."""
    recorded: float | str | bool | None
    again: float | str | bool | None


class ReplayedCell(Part):
    """A recorded cell that was trained again."""

    cell_id: Id
    label: str
    seed: Count
    replayed_at: str
    expected: Literal["equal bits", "tolerance"]
    """Equal bits where processor, device, versions and settings are those of the record, and it was trained alone
    and on one device; else the test accuracy within `ACCURACY_TOLERANCE`, and the same outcome."""
    differs_in: Tuple[str] = ()
    """What of the environment is not as it was; `batched_seeds` where several seeds were trained as one model,
    `devices` where several trained it together."""
    differences: Tuple[Difference] = ()
    """At most ten."""
    repeated: bool
    """Whether it came out as expected."""
    error: str | None = None
    """Why there was nothing to compare."""

    @property
    def verdict(self) -> str:
        """How it came out, in words."""
        if not self.repeated:
            return "did not repeat"
        return "repeated within the tolerance" if self.differences else "repeated bit for bit"


class Replays(Artefact):
    """The last replay of each cell that was replayed."""

    SCHEMA: ClassVar[int] = 1

    cells: Annotated[Tuple[ReplayedCell], Field(min_length=1)]

    def with_cells(self, cells: Iterable[ReplayedCell]) -> Self:
        """These in the place of earlier replays of the same cells."""
        newest = {cell.cell_id: cell for cell in (*self.cells, *cells)}
        return self.model_copy(update={"cells": tuple(newest.values())})


def what_changes_bits(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The names of what can change the bits of a result and differs in two environments, as records keep them.

    What `now` does not tell is passed over, as PyTorch's settings before a worker has them.
    """
    computing = [{name: dict(one.get("software") or {}).get(name) for name in _COMPUTES} for one in (then, now)]
    parts = {"processor": "processor", "device": "device", "variables": "variables", "torch": "settings of torch"}
    return [
        *(name for name in _COMPUTES if computing[0][name] != computing[1][name]),
        *(name for key, name in parts.items() if key in now and then.get(key) != now[key]),
    ]


def compare_replay(
    recorded: Record,
    again: Record,
    predictions: Mapping[str, Any] | None,
    predictions_again: Mapping[str, Any] | None,
    replayed_at: str,
) -> ReplayedCell:
    """Hold a training of a cell against its record; predictions too, if both are known."""
    differs_in = tuple(what_changes_bits(recorded.environment, again.environment))
    if recorded.batched_seeds != again.batched_seeds:
        differs_in += ("batched_seeds",)
    if (recorded.devices is None) != (again.devices is None):
        differs_in += ("devices",)
    differences = list(_differences(recorded, again))
    if predictions is not None and predictions_again is not None:
        for name, array in predictions.items():
            if (count := int((array != predictions_again[name]).sum())) > 0:
                what = f"predictions.{name}"
                differences.append(Difference(what=what, recorded=len(array), again=f"{count} of them differ"))
    near = recorded.outcome == again.outcome and _is_near(recorded, again)
    return ReplayedCell(
        cell_id=recorded.cell_id,
        label=recorded.label,
        seed=recorded.cell.seed,
        replayed_at=replayed_at,
        expected="tolerance" if differs_in else "equal bits",
        differs_in=differs_in,
        differences=tuple(differences[:10]),
        repeated=near if differs_in else not differences,
    )


def _is_near(recorded: Record, again: Record) -> bool:
    ours, theirs = again.metrics.test_accuracy, recorded.metrics.test_accuracy
    if ours is None or theirs is None:
        return ours is theirs
    return abs(ours - theirs) <= ACCURACY_TOLERANCE


def _differences(recorded: Record, again: Record) -> Iterator[Difference]:
    before, after = recorded.lasting(), again.lasting()
    for what in before | after:
        if before.get(what) != after.get(what):
            yield Difference(what=what, recorded=_plain(before.get(what)), again=_plain(after.get(what)))


def _plain(value: Any) -> float | str | bool | None:
    return value if value is None or isinstance(value, int | float | str) else repr(value)
