"""Hypotheses and references, the patterns in them resolved to variants."""

from nin_bench.grid.file import HypothesisEntry, ReferenceEntry
from nin_bench.grid.patterns import PatternIndex
from nin_bench.grid.refusals import Refusals
from nin_bench.grid.yaml_source import Node
from nin_bench.results.schema import Hypothesis, Reference


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
    return Hypothesis(claim=entry.claim, compare=(labels[0], labels[1]), **given)


def resolve_reference(entry: ReferenceEntry, node: Node, index: PatternIndex) -> Reference:
    """A reference with the variant that its pattern matches; InputError where it matches none, or several."""
    variant = index.the_one(entry.model, node.at("model"))
    return Reference(model=variant.label, claim=entry.says, **entry.model_dump(exclude={"model", "says"}))
