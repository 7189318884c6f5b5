"""A published value that a variant of the grid is held against."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Self

from pydantic import Field, model_validator

from nin_bench.cell import NonNegativeFloat, PositiveInt
from nin_bench.errors import SpecError, shown, unknown_name
from nin_bench.grid.validation import Named, Point, validated_each
from nin_bench.metrics import METRICS
from nin_bench.yaml_source import Node


class Reference(Named):
    """What somebody else found of the same model, or of one that is like it."""

    says: str = Field(min_length=1)
    """What was published, as a sentence."""
    metric: str
    model: str
    """Label of the variant that it is held against."""
    value: float = Field(allow_inf_nan=False)
    """In the metric's unit; the mean, where several networks were trained."""
    n: PositiveInt = 1
    """Networks that it is the mean of."""
    sd: NonNegativeFloat | None = None
    """Their standard deviation, with n − 1 degrees of freedom."""
    source: str = Field(min_length=1)
    """Where it was published."""
    url: str | None = None
    differs: str | None = Field(default=None, min_length=1)
    """What was not the same there."""

    @model_validator(mode="after")
    def _can_be_compared(self) -> Self:
        if self.metric not in METRICS:
            raise SpecError("metric", unknown_name("metric", self.metric, METRICS))
        if self.sd is not None and self.n == 1:
            raise SpecError("sd", f"{self.sd:g}, but one network has no spread; give n as well, or leave it out")
        if self.url is not None and not self.url.startswith(("https://", "http://")):
            raise SpecError("url", f"{shown(self.url)} is no address; begin it with https://, or leave it out")
        if self.sd == 0:
            raise SpecError("sd", "0 says that seeds change nothing; leave it out")
        return self


def read_references(nodes: Sequence[Node], resolve: Callable[[Node], str]) -> tuple[Reference, ...]:
    """Read the grid's `references`.

    Args:
        nodes: one for each reference.
        resolve: gives the label of the one variant that a pattern matches.

    Raises:
        InputError: a field is wrong, a pattern does not match exactly one variant, an id is used twice.
    """

    def resolved(fields: Point) -> Point:
        if "model" not in fields:
            return fields
        return {**fields, "model": replace(fields["model"], value=resolve(fields["model"]))}

    return validated_each(Reference, nodes, "reference", resolved)
