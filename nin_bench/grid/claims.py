"""Hypotheses and references, the patterns in them resolved to variants."""

from typing import Literal

from nin_bench.cell import Spec
from nin_bench.grid.file import HypothesisEntry, ReferenceEntry
from nin_bench.grid.patterns import PatternIndex
from nin_bench.grid.refusals import Refusals
from nin_bench.grid.yaml_source import Node


class Hypothesis(Spec):
    """A claim about one variant against another."""

    id: str
    says: str
    """The claim, as a sentence."""
    primary: bool = False
    """Whether it shares one level with the other primary claims."""
    metric: str
    compare: tuple[str, str]
    """Labels of the two variants; the claim is about the first, relative to the second."""
    expect: Literal["greater", "less", "equivalent"]
    margin: float | None = None
    """The smallest difference that matters, in the metric's unit."""
    factor: float | None = None
    """The smallest ratio that matters, above 1."""


class Reference(Spec):
    """A published value, and the variant that it is held against."""

    id: str
    says: str
    metric: str
    model: str
    """Label of the variant."""
    value: float
    n: int
    sd: float | None
    source: str
    url: str | None
    differs: str | None


def resolve_hypothesis(entry: HypothesisEntry, node: Node, index: PatternIndex) -> Hypothesis:
    """A hypothesis with the variants that its patterns match; InputError where one matches none, or several."""
    refusals = Refusals()
    labels = []
    for number, pattern in enumerate(entry.compare):
        with refusals.gather():
            labels.append(index.the_one(pattern, node.at("compare", number)).label)
    refusals.raise_any()
    if labels[0] == labels[1]:
        raise node.at("compare").error(f"both sides are {labels[0]!r}; compare two variants")
    given = entry.model_dump(exclude={"claim", "compare"})
    return Hypothesis(says=entry.claim, compare=(labels[0], labels[1]), **given)


def resolve_reference(entry: ReferenceEntry, node: Node, index: PatternIndex) -> Reference:
    """A reference with the variant that its pattern matches; InputError where it matches none, or several."""
    variant = index.the_one(entry.model, node.at("model"))
    return Reference(model=variant.label, **entry.model_dump(exclude={"model"}))
