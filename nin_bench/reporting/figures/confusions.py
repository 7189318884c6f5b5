"""The figure of the classes that networks take for each other: a matrix for each of at most two variants."""

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from nin_bench.analysis.analysis import Analysis
from nin_bench.analysis.predictions import Confusion
from nin_bench.reporting.figures.drawing import Canvas, Mark
from nin_bench.reporting.figures.plot_style import INK, WIDTH, matrix_axes, notable, square, wrapped

_BLUE, _WHITE = "#0b6aa8", "#fdfdfd"
"""The colours of squares, and of letters on dark ones: the same on a light page and on a dark one."""


def draw_confusions(analysis: Analysis) -> Canvas | None:
    """A matrix per variant: what each class's test images were taken for; None without a matrix."""
    known = {one.variant_id: one for one in analysis.confusions if one.matrix is not None}
    drawn = [known[row.variant_id] for row in notable(analysis.comparison) if row.variant_id in known]
    if not drawn:
        return None
    names = [analysis.names[one.label] for one in drawn]
    figure = Figure(figsize=(WIDTH, 5.0 if len(drawn) > 1 else 7), layout="constrained")
    canvas = Canvas(
        figure,
        alt=f"Which classes are taken for which, by {' and by '.join(names)}",
        caption="Percent of each class's test images (rows) by what they were taken for (columns), as the mean "
        "over networks that did not fail and lost the same classes: of the baseline and of the other "
        "variant with the best median accuracy.",
    )
    panels = figure.subplots(1, len(drawn), squeeze=False)[0]
    # the same columns in both, so that their squares are of one size
    silent = any(row[-1] for one in drawn for row in one.matrix or [])
    for one, name, ax in zip(drawn, names, panels, strict=True):
        shown = np.array(one.matrix)[:, : None if silent else -1]
        columns = [*one.classes, "nothing"][: shown.shape[1]]
        places = list(np.ndindex(shown.shape))
        squares = PolyCollection(
            [square(x, y, 0.96) for y, x in places],
            facecolors=[to_rgba(_BLUE, max(0.03, float(shown[place]) ** 0.5)) for place in places],
            linewidth=0,
        )
        ax.add_collection(squares)
        canvas.mark(
            squares,
            *(Mark(f"{one.classes[y]} taken for {columns[x]}: {100 * shown[y, x]:.1f} %", one.variant_id)
              for y, x in places),
        )  # fmt: skip
        for y, x in places:
            if shown[y, x] > 0.005:
                ax.text(
                    x, y, f"{100 * shown[y, x]:.0f}", ha="center", va="center_baseline", fontsize=7,
                    color=_WHITE if shown[y, x] > 0.6 else INK,
                )  # fmt: skip
        matrix_axes(ax, columns, one.classes)
        ax.set_xlabel("predicted")
        ax.set_title(f"{wrapped(name, 44)}\n{_of_which(one)}")
    panels[0].set_ylabel("true class")
    return canvas


def _of_which(one: Confusion) -> str:
    """The networks that a matrix is of."""
    lost = f"lost {wrapped(', '.join(one.lost), 30)}" if one.lost else "lost no class"
    return f"mean of {one.num_cells} of {one.num_known} networks: those that {lost}"
