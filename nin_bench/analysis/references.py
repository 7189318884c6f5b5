"""Published values beside measured ones: how far apart, and how sure that is, as far as the published allow."""

from dataclasses import dataclass

from nin_bench.analysis.cells import number
from nin_bench.analysis.hypothesis_tests import Evidence
from nin_bench.analysis.tables import Spread
from nin_bench.metrics import METRICS, Metric
from nin_bench.results import Results
from nin_bench.results.schema import Reference
from nin_bench.stats.claims import Interval
from nin_bench.stats.unpaired import percentile_among, welch_interval

_MOSTLY_ALIKE = 0.1
"""An accuracy's variance, of the most that its mean allows, up to which all networks may have learned: one in
fifty at chance among others at 90 % makes an eighth, a deviation of 5 points about 80 % a sixtieth."""


@dataclass(frozen=True)
class Comparison:
    """One reference of the grid, and what was measured of its variant."""

    id: str
    claim: str
    metric: str
    label: str
    source: str
    url: str | None
    differs: str | None
    published: Spread
    measured: Spread
    """Over every trained cell, failed networks included: others seldom say that they left any out."""
    num_failed: int
    """Trained cells whose network failed."""
    difference: float | None
    """Measured less published, of the means."""
    interval: Interval | None
    """Welch's interval of the difference, 95 %; None if it was published without spread, or if networks failed,
    ours or, by their spread, the published."""
    percentile: float | None
    """The share of our networks below a single published one; None where that is a mean."""
    num_below: int
    """Measured values below the published one."""
    num_equal: int
    mixed: bool
    """Whether the published accuracies vary too much to be those of networks that all learned."""


def compare_references(results: Results) -> list[Comparison]:
    """Hold each of the grid's references against the cells of its variant, in the grid's order."""
    known = Evidence.of(results)
    return [_compare(reference, known, results) for reference in results.grid.references]


def _compare(reference: Reference, known: Evidence, results: Results) -> Comparison:
    metric, label = METRICS[reference.metric], reference.model
    values = _values(metric, label, known, results)
    published = Spread(reference.value, reference.sd, reference.n)
    measured = Spread.of(values)
    trained = [cell for (of, _), cell in known.cells.items() if of == label and cell.outcome == "trained"]
    num_failed = sum(cell.failed for cell in trained) if metric.kind == "quality" else 0
    over_seeds = metric.kind in ("quality", "rate")
    interval = percentile = None
    mixed = metric.name.endswith("_accuracy") and _is_mixed(published)
    if over_seeds and published.sd and measured.sd and not num_failed and not mixed:
        assert published.mean is not None
        assert measured.mean is not None
        interval = welch_interval(
            measured.mean, measured.sd, measured.n, published.mean, published.sd, published.n
        )
    if over_seeds and published.n == 1 and values:
        percentile = percentile_among(reference.value, values)
    return Comparison(
        id=reference.id,
        claim=reference.claim,
        metric=metric.name,
        label=label,
        source=reference.source,
        url=reference.url,
        differs=reference.differs,
        published=published,
        measured=measured,
        num_failed=num_failed,
        difference=None if measured.mean is None else measured.mean - reference.value,
        interval=interval,
        percentile=percentile,
        num_below=sum(value < reference.value for value in values),
        num_equal=sum(value == reference.value for value in values),
        mixed=mixed,
    )


def _is_mixed(accuracy: Spread) -> bool:
    """Whether accuracies vary too much to be those of networks that all learned."""
    if accuracy.mean is None or accuracy.sd is None:
        return False
    return accuracy.sd**2 > _MOSTLY_ALIKE * accuracy.mean * (1 - accuracy.mean)


def _values(metric: Metric, label: str, known: Evidence, results: Results) -> list[float]:
    """What is known of the variant: a value for each trained cell, or the one that no seed changes."""
    seeds = [seed for of, seed in known.cells if of == label]
    if metric.deterministic:
        count = known.count(metric, label, seeds)
        return [] if count is None else [count]
    if metric.kind == "measured":
        costs = results.costs
        found = costs[costs["label"] == label]
        values = [number(value) for value in found[metric.name]] if metric.name in costs else []
    else:
        cells = [known.cells[label, seed] for seed in seeds]
        values = [cell[metric.name] for cell in cells if cell.outcome == "trained"]
    return [value for value in values if value == value]  # NaN, what is not known, is not itself
