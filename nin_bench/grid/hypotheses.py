"""What is claimed in the grid before the run, what is left open, and what is assumed of the spread over seeds."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from nin_bench.cell import NonNegativeFloat, PositiveFloat, Spec
from nin_bench.errors import SpecError, shown, unknown_name
from nin_bench.grid.validation import Named, Point, validated, validated_each
from nin_bench.metrics import METRICS
from nin_bench.yaml_source import Node


class Hypothesis(Named):
    """What is claimed of one variant against another."""

    says: str = Field(min_length=1)
    """The claim, as a sentence."""
    primary: bool = False
    """Whether the verdicts are corrected for testing it among the others."""
    metric: str
    compare: tuple[str, str]
    """Labels of the two variants; the claim is about the first, relative to the second."""
    expect: Literal["greater", "less", "equivalent"]
    margin: NonNegativeFloat | None = None
    """The smallest difference that matters, in the metric's unit."""
    factor: PositiveFloat | None = None
    """The smallest ratio that matters, above 1."""

    @model_validator(mode="after")
    def _can_be_decided(self) -> Self:
        if self.metric not in METRICS:
            raise SpecError("metric", unknown_name("metric", self.metric, METRICS))
        if self.margin is None and self.factor is None:
            raise SpecError(
                "margin", "none is given, nor a factor; give a margin (a difference) or a factor (a ratio)"
            )
        if self.margin is not None and self.factor is not None:
            raise SpecError("factor", "given beside a margin; keep one of them")
        if self.factor is not None and self.factor <= 1:
            raise SpecError("factor", f"{self.factor:g} is no factor; use a number above 1")
        if self.expect == "equivalent" and self.margin == 0:
            raise SpecError("margin", "0 leaves nothing to be equivalent within; use a margin above 0")
        if self.compare[0] == self.compare[1]:
            raise SpecError("compare", f"both sides are {self.compare[0]!r}; compare two variants")
        return self


class OpenClaim(Spec):
    """A claim that belongs to the question, and that this grid cannot answer."""

    says: str = Field(min_length=1)
    """The claim, as a sentence."""
    reason: str = Field(min_length=1)
    """Why it stays open here, and what would answer it."""


class Assumption(Spec):
    """How a metric spreads over seeds, where no record tells yet; `plan` reckons with it."""

    sd: PositiveFloat
    """Standard deviation of one variant over its seeds, in the metric's unit; of logarithms for a factor."""
    correlation: Annotated[float, Field(gt=-1, lt=1)] = 0.0
    """Of two variants over the seeds that they share."""

    @property
    def sd_of_differences(self) -> float:
        """Of the paired differences of two such variants."""
        return self.sd * math.sqrt(2 * (1 - self.correlation))


def read_open_claims(nodes: Sequence[Node]) -> tuple[OpenClaim, ...]:
    """Read the grid's `open_claims`; InputError where a field is wrong."""
    return tuple(validated(OpenClaim, node.mapping("a claim", OpenClaim.model_fields), node) for node in nodes)


def read_caveats(nodes: Sequence[Node]) -> tuple[str, ...]:
    """Read the grid's `caveats`; InputError where one is not a sentence."""
    for node in nodes:
        if not isinstance(node.value, str) or not node.value.strip():
            raise node.error(f"{shown(node.value)} is not a caveat; write a sentence")
    return tuple(node.value for node in nodes)


def read_assumptions(node: Node) -> dict[str, Assumption]:
    """Read the grid's `assume`, by metric.

    Raises:
        InputError: a field is wrong, or the metric is none that is tested over seeds.
    """
    spread = [name for name, metric in METRICS.items() if metric.kind == "quality"]
    return {
        name: validated(Assumption, one.mapping("an assumption", Assumption.model_fields), one)
        for name, one in node.mapping("a section", spread).items()
    }


def read_hypotheses(nodes: Sequence[Node], resolve: Callable[[Node], str]) -> tuple[Hypothesis, ...]:
    """Read the grid's `hypotheses`.

    Args:
        nodes: one for each hypothesis.
        resolve: gives the label of the one variant that a pattern matches.

    Raises:
        InputError: a field is wrong, a pattern does not match exactly one variant, an id is used twice.
    """

    def resolved(fields: Point) -> Point:
        if "compare" not in fields:
            return fields
        sides = fields["compare"].sequence("two patterns")
        if len(sides) != 2:
            raise fields["compare"].error(f"{len(sides)} patterns; compare exactly two")
        labels = tuple(resolve(side) for side in sides)
        return {**fields, "compare": replace(fields["compare"], value=labels)}

    return validated_each(Hypothesis, nodes, "hypothesis", resolved)
