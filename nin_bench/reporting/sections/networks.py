"""What the networks learned: scores, failures, interactions, confusions, published values, curves."""

import math
from collections.abc import Callable, Sequence

from nin_bench.analysis.analysis import Analysis
from nin_bench.analysis.interactions import Interaction
from nin_bench.analysis.lost_classes import LostClasses
from nin_bench.analysis.references import Comparison
from nin_bench.analysis.tables import SCORES, Trouble, VariantRow
from nin_bench.analysis.target import Reached
from nin_bench.errors import counted
from nin_bench.metrics import METRICS
from nin_bench.reporting import blocks as page
from nin_bench.reporting import text
from nin_bench.reporting.sections.summary import names_of, published_and_measured


def scores(analysis: Analysis) -> list[page.Block]:
    """Further scores on the test images, and how soon the networks learned."""
    tables = score_table(analysis)
    if not any(row.trained for row in analysis.comparison):
        return []
    said = "Mean ± standard deviation over seeds; the gap leaves failed networks out, which have none."
    if target := analysis.target:
        short = ", a point less than the baseline's median network ends at" if target.of else ""
        said += (
            f" Epochs to {100 * target.accuracy:.1f} % validation accuracy{short}: the median, its 95 % interval "
            "(? where so few networks set no end to it), and how many got there."
        )
    return [page.Section("Scores", (*tables, page.Paragraph(said)))]


def score_table(analysis: Analysis) -> list[page.Table]:
    """Every score of every variant."""
    reached = {row.label: row for row in analysis.target.variants} if analysis.target else {}
    columns: list[page.Column[VariantRow]] = []
    if any(row.trained < row.planned for row in analysis.comparison):
        columns.append(("trained", lambda row: f"{row.trained} of {row.planned}"))
    columns += [(METRICS[name].heading, _score(name)) for name in SCORES]
    columns.append(("train − test, points", lambda row: text.percent_spread(row.generalisation_gap, "+")))
    if analysis.target:
        heading = f"epochs to {100 * analysis.target.accuracy:.1f} %"
        columns.append((heading, lambda row: _epochs(reached.get(row.label))))
    return page.table_of(columns, analysis.comparison, names_of(analysis))


def _score(name: str) -> Callable[[VariantRow], str]:
    """Mean and spread, to the places that the table of metrics gives it."""

    def shown(row: VariantRow) -> str:
        spread, metric = row.scores[name], METRICS[name]
        if spread.mean is None:
            return page.NOT_KNOWN
        deviation = "" if spread.sd is None else f" ± {metric.shown(spread.sd)}"
        return f"{metric.shown(spread.mean)}{deviation} (n={spread.n})"

    return shown


def _epochs(found: Reached | None) -> str:
    if found is None:
        return page.NOT_KNOWN
    reached = f"{found.num_reached} of {found.n}"
    if found.median is None:
        return f"more than {found.horizon:g} ({reached})"
    low, high = ("?" if end is None else f"{end:g}" for end in found.median_interval)
    interval = "" if (low, high) == ("?", "?") else f", {low} to {high}"
    return f"{found.median:g}{interval} ({reached})"


def curves(analysis: Analysis) -> list[page.Block]:
    """Learning curves, and when networks got where."""
    names = ("learning_curves", "training_loss", "escape", "epochs_to_target")
    return [page.Section("Learning curves", tuple(map(page.Figure, names)))]


def failures(analysis: Analysis) -> list[page.Block]:
    """Every network that failed or lost a class, and every cell that ended otherwise or not at all."""
    lost = {one.cell_id: one for one in analysis.lost_classes}
    troubles = {one.cell_id: one for one in analysis.troubles}
    order = list(analysis.names.by_label)
    unwell: dict[str, LostClasses | Trouble] = {**lost, **troubles}
    rows = tuple(
        (analysis.names[one.label], str(one.seed), *_what_happened(troubles.get(cell_id), lost.get(cell_id)))
        for cell_id, one in sorted(unwell.items(), key=lambda item: (order.index(item[1].label), item[1].seed))
    )
    blocks: list[page.Block] = []
    if rows:
        headings = (
            "variant", "seed", "what happened", "never predicts", "of these, map dead after epoch",
            "test accuracy, %", "of the other classes, %",
        )  # fmt: skip
        blocks.append(page.Table(headings, rows, "lrlllrr"))
        blocks.append(page.Paragraph("A class's map is dead if it is zero on every training image."))
    if analysis.missing and "trained" in analysis.outcomes:
        missing = (f"{analysis.names[one.label]}, {text.named_seeds(one.seeds)}" for one in analysis.missing)
        blocks.append(page.Paragraph(f"No record: {'; '.join(missing)}."))
    return [page.Section("Failed networks and lost classes", tuple(blocks))] if blocks else []


def _what_happened(trouble: Trouble | None, lost: LostClasses | None) -> tuple[str, ...]:
    what = text.shortened(describe_trouble(trouble) if trouble else "trained", 240)
    if lost is None:
        return what, page.NOT_KNOWN, page.NOT_KNOWN, page.NOT_KNOWN, page.NOT_KNOWN
    classes = "every class" if lost.images_lost == 1 else _listed(lost.classes)
    return what, classes, _dead(lost), _percent(lost.accuracy), _percent(lost.accuracy_of_others)


def _percent(share: float | None) -> str:
    return page.NOT_KNOWN if share is None else f"{100 * share:.1f}"


def _listed(names: Sequence[str] | None) -> str:
    return page.NOT_KNOWN if names is None else ", ".join(names) or "none"


def _dead(lost: LostClasses) -> str:
    """Which maps are dead, and since when; one number where all died together."""
    epochs = lost.died_after
    if not lost.dead_maps:
        return _listed(lost.dead_maps)
    everyone = set(lost.dead_maps) == set(lost.classes or ())
    named = "all" if everyone and len(lost.dead_maps) > 1 else ", ".join(lost.dead_maps)
    if not epochs:
        return named
    if len(set(epochs.values())) == 1 and len(epochs) == len(lost.dead_maps):
        return f"{named} ({next(iter(epochs.values()))})"
    return ", ".join(f"{name} ({epochs[name]})" if name in epochs else name for name in lost.dead_maps)


def describe_trouble(trouble: Trouble) -> str:
    """Why a cell did not end well, as far as its record tells."""
    if trouble.outcome != "trained":
        at = "" if trouble.failed_step is None else f" at step {trouble.failed_step:,}"
        epochs = f"after {trouble.num_epochs} whole {'epoch' if trouble.num_epochs == 1 else 'epochs'}"
        error = f": {trouble.error}" if trouble.error else ""
        return f"{trouble.outcome.replace('_', ' ')}{at}, {epochs}{error}"
    if trouble.escape_epoch is not None:
        reasons = [f"failed; left chance level in epoch {math.ceil(trouble.escape_epoch)}"]
    else:
        loss = trouble.train_loss
        reasons = [
            "failed; never left chance level" + ("" if loss is None else f" (training loss ended at {loss:.3f})")
        ]
    if tied := trouble.num_tied:
        reasons.append(f"no prediction for {counted(tied, 'test image')}")
    return "; ".join(reasons)


def interactions(analysis: Analysis) -> list[page.Block]:
    """What one choice changes beside another."""
    if not analysis.interactions:
        return []
    blocks: list[page.Block] = [page.Figure("interactions")]
    for product in analysis.interactions:
        held = ", ".join(f"{key}={value}" for key, value in product.held.items())
        left_out = f" Left out, as not combined with every level: {', '.join(product.left_out)}." * bool(
            product.left_out
        )
        axes = f"{product.model}: {' × '.join(product.axes)}"
        blocks.append(page.Paragraph((page.Strong(axes), f" ({held})." if held else ".", left_out)))
        headings = (*product.axes, "difference of differences, points", "interval, points", "n")
        blocks.append(page.Table(headings, tuple(map(_contrast, product.contrasts)), "llrrr"))
    said = (
        "How much more the first step changes test accuracy once the second is made than before it; zero if "
        "the two choices have nothing to do with each other. The intervals of a table hold together "
        "(Bonferroni)."
    )
    return [page.Section("Interactions", (*blocks, page.Paragraph(said)))]


def _contrast(found: Interaction) -> tuple[str, ...]:
    def points(*shares: float) -> str:
        return " to ".join(f"{100 * share:+.1f}" for share in shares).replace("-", "−")

    effect = page.NOT_KNOWN if found.effect is None or math.isinf(found.effect) else points(found.effect)
    interval = page.NOT_KNOWN if found.interval is None else points(*found.interval)
    level = "" if found.interval is None else f" ({100 * (1 - found.level):.3g} %)"
    return " → ".join(found.first), " → ".join(found.second), effect, interval + level, str(found.n)


def confusions(analysis: Analysis) -> list[page.Block]:
    """Which classes are taken for which: as a figure, or the most frequent ones where there are many classes."""
    found: list[page.Block] = [page.Figure("confusions")]
    if rows := [one for one in analysis.confusions if one.matrix is None]:
        cells = (
            (
                analysis.names[one.label],
                str(one.num_cells),
                "; ".join(f"{true} for {taken}, {100 * share:.0f}" for true, taken, share in one.pairs),
            )
            for one in rows
        )
        headings = ("variant", "networks", "most frequent: class taken for another, % of its images")
        found.append(page.Table(headings, tuple(cells), "lrl"))
    return [page.Section("Confusions", tuple(found))]


def published(analysis: Analysis) -> list[page.Block]:
    """Published values beside measured ones."""
    found = analysis.references
    if not found:
        return []
    headings = ("reference", "variant", "metric", "published", "measured", "measured − published", "95 % interval")
    rows: tuple[tuple[page.Text, ...], ...] = tuple(
        (
            (page.Strong(one.id), f": {one.claim.strip()}"),
            analysis.names[one.label],
            METRICS[one.metric].title,
            *published_and_measured(one),
        )
        for one in found
    )
    remarks = [(one.id, describe_reference(one)) for one in found]
    remarks += [(one.id, f"What differs: {one.differs}") for one in found if one.differs]
    remarks += [(one.id, f"Source: {one.source}{f', {one.url}' if one.url else ''}.") for one in found]
    blocks = (page.Table(headings, rows, "lllrrrr"), page.Bullets(page.grouped(remarks)))
    return [page.Section("Published values", blocks)]


def describe_reference(found: Comparison) -> str:
    """What a published value says beside the measured one."""
    n = found.measured.n
    if not n:
        return "Nothing was measured to compare it with."
    if METRICS[found.metric].deterministic:
        return "The two counts are equal." if found.difference == 0 else "The two counts differ."
    said = []
    if found.percentile is not None:
        ties = f" and equals {found.num_equal}" if found.num_equal else ""
        said.append(f"A single published run: it lies above {found.num_below} of our {n}{ties}.")
    elif found.interval is not None:
        low, high = found.interval
        if low > 0 or high < 0:
            said.append(f"The whole interval lies {'above' if low > 0 else 'below'} zero: the means differ.")
        else:
            said.append("The interval reaches across zero: the difference can be luck; they can still differ.")
    if found.mixed:
        said.append("The published spread is that of networks some of which failed: no test is made.")
    if found.num_failed:
        said.append(f"{found.num_failed} of our {n} networks failed: no interval is given.")
    return " ".join(said) or "Without a spread on both sides there is no interval."
