"""What trained networks answered to probes: moved test images, other sizes, class maps."""

from collections.abc import Callable, Sequence

from nin_bench.analysis.analysis import Analysis
from nin_bench.analysis.probes import ProbedVariant, ProbePoint
from nin_bench.reporting import text
from nin_bench.reporting.blocks import NOT_KNOWN, Block, Bullets, Figure, Paragraph, Section, Table, Text, grouped
from nin_bench.reporting.units import as_cells


def probes(analysis: Analysis) -> list[Block]:
    """Accuracy on moved images and at other sizes, class maps, and which networks did not answer."""
    found = analysis.probes
    if found is None:
        return []
    blocks: list[Block] = []
    if found.variants:
        level = f"{100 * (1 - found.level):.3g} %"
        blocks.append(
            Paragraph(
                "Asked of the trained networks, without training them further. A change is that of the same "
                "network against its accuracy on the test images as they are: the typical one over seeds, with an "
                f"interval of {level}, so that all of these intervals hold together."
            )
        )
    blocks += _accuracies(
        analysis,
        "moved by, pixels",
        lambda one: one.shift,
        "Images are moved right, down, left and up in turn, and black is left behind.",
        "probe_shift",
    )
    blocks += _accuracies(
        analysis,
        "size, pixels",
        lambda one: one.resolution,
        "The networks were trained at another size, unless a row says “as trained”.",
        "probe_resolution",
    )
    refusals = [
        (analysis.names[one.label], _not_possible(refused))
        for one in found.variants
        if (refused := [point for point in one.resolution if point.not_possible])
    ]
    blocks += [Bullets(grouped(refusals))] if refusals else []
    if found.networks:
        blocks.append(Figure("class_maps"))
    if found.without_maps:
        names = ", ".join(analysis.names[label] for label in found.without_maps)
        blocks.append(
            Paragraph(f"Class maps are not possible, as scores are not the means of class maps: {names}.")
        )
    blocks += [
        Paragraph(f"No answer: {analysis.names[one.label]}, {text.named_seeds(one.seeds)}.")
        for one in found.lacking
    ]
    return [Section("Probes", tuple(blocks))] if blocks else []


def _accuracies(
    analysis: Analysis,
    heading: str,
    points_of: Callable[[ProbedVariant], Sequence[ProbePoint]],
    said: str,
    figure: str,
) -> list[Block]:
    """A row for each variant and each change of the images; nothing if none was asked."""
    assert analysis.probes is not None
    rows: list[tuple[Text, ...]] = []
    for variant in analysis.probes.variants:
        for point in points_of(variant):
            own = point.at == (variant.own_resolution if figure == "probe_resolution" else 0)
            at = f"{point.at} (as trained)" if own else str(point.at)
            accuracy, *change = _cells(point)
            change = [NOT_KNOWN, NOT_KNOWN] if own else change
            rows.append((analysis.names[variant.label], at, accuracy, *change))
    headings = ("variant", heading, "test accuracy, %", "change", "interval")
    return [Figure(figure), Table(headings, tuple(rows), "lrrrr"), Paragraph(said)] if rows else []


def _not_possible(refused: Sequence[ProbePoint]) -> str:
    first, *others = (f"{point.at}×{point.at}" for point in refused)
    too = f", nor {', '.join(others)}" if others else ""
    return f"{first} is not possible{too}: {refused[0].not_possible}."


def _cells(point: ProbePoint) -> tuple[str, str, str]:
    if point.not_possible:
        return "not possible", NOT_KNOWN, NOT_KNOWN
    if point.change is None:
        return NOT_KNOWN, NOT_KNOWN, NOT_KNOWN
    effect, interval = as_cells("share", point.change, point.interval)
    return text.percent_spread(point.accuracy), effect, interval or NOT_KNOWN
