"""The first screen: what the claims came to, every variant in a line, every seed in a figure."""

from collections import Counter

from nin_bench.analysis.analysis import Analysis
from nin_bench.analysis.references import Comparison
from nin_bench.analysis.tables import VariantRow
from nin_bench.analysis.verdicts import Verdict
from nin_bench.metrics import METRICS
from nin_bench.reporting import blocks as page
from nin_bench.reporting import text
from nin_bench.reporting.units import as_cells
from nin_bench.reporting.verdict_text import VerdictText

MOST_HEADLINES = 5
"""Claims and published values that the first screen tells, primary claims first."""


def summary(analysis: Analysis) -> list[page.Block]:
    """Question, headlines, the variants, every seed."""
    found: list[page.Block] = [
        page.Paragraph((page.Strong("Question."), f" {text.sentence(analysis.question) or 'Not stated.'}"))
    ]
    if "trained" not in analysis.outcomes:
        compared = "only counts and costs can be compared" if analysis.costs else "there is nothing to compare yet"
        found.append(page.Paragraph((page.Strong(f"No cell has been trained: {compared}."),)))
    elif num_missing := analysis.outcomes.get("missing"):
        found.append(
            page.Paragraph(
                f"{num_missing} of {analysis.num_cells} planned cells have no record: this is preliminary."
            )
        )
    if not analysis.lock.intact:
        warning = (
            "The lock no longer fits its digest: seeds or hypotheses in grid.json were changed by hand after the "
            "first run. Nobody can tell what was planned, so every verdict counts as post hoc."
        )
        found.append(page.Paragraph((page.Strong(warning),)))
    found += headlines(analysis)
    return [*found, *variant_table(analysis), *_how_accurate(analysis), page.Figure("seeds")]


def headlines(analysis: Analysis) -> list[page.Block]:
    """The claims that matter most, then published values, a sentence each; what became of the other claims."""
    order = sorted(analysis.hypotheses, key=lambda verdict: (verdict.is_counted, not verdict.primary))
    shown, others = order[:MOST_HEADLINES], order[MOST_HEADLINES:]
    told = [_headline(verdict, analysis) for verdict in shown] + [_beside(one) for one in analysis.references]
    found: list[page.Block] = [page.Bullets(tuple(told[:MOST_HEADLINES]))] if told else []
    if others:
        counts = Counter(verdict.verdict for verdict in others)
        said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        found.append(page.Paragraph(f"Of {len(others)} more claims: {said}. All stand under Claims."))
    return found


def _headline(verdict: Verdict, analysis: Analysis) -> tuple[page.Inline, ...]:
    marks = {"trade-off": verdict.trade_off, "post hoc": verdict.post_hoc, "early look": verdict.early}
    marked = "".join(f", {mark}" for mark, holds in marks.items() if holds)
    claim = verdict.claim.strip().rstrip(".")
    headline = VerdictText(verdict, analysis.names).headline
    return f"{claim}: ", page.Strong(verdict.verdict, verdict.verdict), f"{marked}. {headline}"


def _beside(found: Comparison) -> tuple[page.Inline, ...]:
    _, measured, _, interval = published_and_measured(found)
    apart = "" if found.interval is None else f" The means differ by {interval} (95 %)."
    return f"Published: {text.sentence(found.claim)} Here: ", page.Strong(measured), f".{apart}"


def published_and_measured(found: Comparison) -> tuple[str, ...]:
    """A reference as cells of a table: published, measured, their difference and its interval."""
    unit = METRICS[found.metric].unit
    both = (text.metric_spread(found.published, unit), text.metric_spread(found.measured, unit))
    if found.difference is None:
        return (*both, page.NOT_KNOWN, page.NOT_KNOWN)
    effect, interval = as_cells(unit, found.difference, found.interval)
    return (*both, effect, interval or page.NOT_KNOWN)


def variant_table(analysis: Analysis) -> list[page.Table]:
    """Every variant: how accurate, how sure, how large, how long it trained."""
    lost = {row.label: row for row in analysis.losing_networks}

    def lost_a_class(row: VariantRow) -> str:
        found = lost.get(row.label)
        return f"{found.num_lost} of {found.num_known}" if found else page.NOT_KNOWN

    return page.table_of(
        [
            ("test accuracy, %", lambda row: text.percent_spread(row.test_accuracy)),
            ("failed", lambda row: text.tally(row.failed)),
            ("lost a class", lost_a_class),
            ("parameters", lambda row: text.human_count(row.num_params)),
            ("training seconds", lambda row: text.mean_of(row.train_seconds)),
        ],
        analysis.comparison,
        names_of(analysis),
    )


def names_of(analysis: Analysis) -> list[str]:
    """What the page calls each variant."""
    return [row.name + (" (baseline)" if row.baseline else "") for row in analysis.comparison]


def _how_accurate(analysis: Analysis) -> list[page.Block]:
    most = max((row.trained for row in analysis.comparison), default=0)
    if not most:
        return []
    said = "Accuracy: mean ± standard deviation over seeds, failed networks included."
    if most == 1:
        said += " One seed each: a difference between two variants can be luck."
    elif most < 5:
        said += f" At most {most} seeds each: only large differences are more than luck."
    return [page.Paragraph(said)]
