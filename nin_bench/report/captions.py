"""What the figures of a report are called, and how each is read."""

from nin_bench.report.plots import MAX_DRAWN, MOST_SEEDS_DRAWN

FIGURES = {
    "learning_curves": (
        "Validation accuracy by epoch",
        "One panel per variant: the thick line is the mean of its healthy seeds, the band their range, thin "
        "lines are single seeds, dashed ones those that failed or collapsed; the other variants' means stand "
        "in grey behind. The axis shows where most of the values lie: lines come into it from below, and a hollow "
        "triangle stands for seeds that end there.",
    ),
    "training_loss": (
        "Training loss by epoch",
        "Panels, lines and bands as for validation accuracy, all of it in view; a line that stays on the dotted "
        "one has learned no more than how often each class occurs.",
    ),
    "accuracy_against_costs": (
        "Accuracy against parameters, MACs and training time",
        "Up and to the left is better: large marks are means of healthy seeds with ± one standard deviation, "
        "small ones single seeds, hollow triangles at the bottom seeds that end below the axis, and the dashed "
        "line joins the variants that no other of the grid beats at the same cost. Where it is missing, one "
        "variant is both the cheapest and the best: nothing is traded. It goes by the means of healthy seeds on "
        "test images, however many of a variant's seeds failed: it describes, and is nothing to choose by. "
        "Training time is of steps alone, seen while cells trained side by side.",
    ),
    "escape": (
        "When cells leave chance level",
        "Each line climbs from none to all of a variant's cells as they escape (Kaplan and Meier's estimate, with "
        "its 95 % interval); one that never reaches the top has cells that learned nothing, and the count on the "
        "right says how many did. Epochs after the last such step, in which nothing changes, are left out.",
    ),
}
"""Title and how to read it, of each figure that records fill, by name, in the page's order."""

TARGET = {
    "epochs_to_target": (
        "When cells reach the target",
        "As above, for the first epoch whose validation accuracy is at least the target of the comparison.",
    )
}
"""Likewise, where a target could be set."""

EFFECTS = {
    "effects": (
        "Every claim's effect",
        "The mark is the difference found, the line its interval, the grey field where the claim is true, "
        "with its margin. A claim is supported where the whole line lies in the field, refuted where the whole "
        "line lies outside, and undecided where it crosses a black edge. A and B are the two variants under each "
        "claim's name.",
    )
}
"""Likewise, of the figure under the verdicts."""

COST_FIGURES = {
    "cost_shares": (
        "Where parameters, MACs and time sit",
        "Percent of each variant's total, which stands on the right, by kind of layer; where a kind's share of "
        "the time is larger than its share of the MACs, its MACs are dear.",
    ),
    "roofline": (
        "Roofline",
        "Each mark is a layer in its forward pass, the larger the more time it takes. The line is what the "
        "machine can do at most: below its slope a layer waits for memory, below its flat part for arithmetic; "
        "how far a mark lies under the line is what is left to gain. A mark above it worked in caches that are "
        "faster than memory. Layers without MACs are not drawn.",
    ),
}
"""Likewise, of those that costs fill; they follow after the others."""

IN_SECTIONS = {
    "interactions": (
        "Interactions",
        "Means of healthy seeds with their 95 % intervals; lines that run side by side say that the two choices "
        "have nothing to do with each other.",
    ),
    "confusions": (
        "Confusions",
        "Percent of each class's test images (rows) by what they were taken for (columns): of the baseline, and "
        "of the variant whose healthy seeds do best on test images, however many of its seeds failed. Each number "
        "is the mean over healthy seeds, each of which counts alike: 80 may be all of them at 80, or four at 100 "
        "and one that never names the class.",
    ),
}
"""Likewise, of those that stand in sections of their own."""

ALL_FIGURES = EFFECTS | FIGURES | TARGET | IN_SECTIONS | COST_FIGURES


_WITH_SEEDS = {"learning_curves", "training_loss", "accuracy_against_costs"}


def describe_figure(name: str, num_variants: int, num_seeds: int) -> dict[str, str]:
    """A figure's name, title and caption, which says what was left out of it."""
    title, caption = ALL_FIGURES[name]
    if num_variants > MAX_DRAWN and name not in EFFECTS | IN_SECTIONS:
        caption += f" Drawn are the first {MAX_DRAWN} of {num_variants} variants, in the grid's order."
    if num_seeds > MOST_SEEDS_DRAWN and name in _WITH_SEEDS:
        caption += f" Single seeds are the first {MOST_SEEDS_DRAWN} of a variant; means and ranges are of all."
    return {"name": name, "title": title, "caption": caption}
