"""What moved between two results folders."""

from collections import Counter
from collections.abc import Callable, Sequence

from nin_bench.analysis.compare import FolderComparison, Move
from nin_bench.analysis.gates import Gate
from nin_bench.analysis.matched import CostRatio
from nin_bench.metrics import METRICS
from nin_bench.reporting import text
from nin_bench.reporting.blocks import NOT_KNOWN, Block, Bullets, Paragraph, Section, Strong, Table, Text, table_of

_COSTS = {
    "training throughput": "train_images_per_second",
    "prediction throughput": "predict_images_per_second",
    "latency, p50": "latency_p50_seconds",
    "memory in training": "train_memory_bytes",
}


def comparison(found: FolderComparison) -> list[Block]:
    """The whole page."""
    sides = {"A": found.a, "B": found.b}
    held = [
        f"{side} is {about.path}: {about.num_trained} trained cells of {about.num_cells}, "
        f"seeds {text.number_ranges(about.seeds)}."
        for side, about in sides.items()
    ]
    only = [
        f"{side}: {label}" for side, labels in (("A", found.only_in_a), ("B", found.only_in_b)) for label in labels
    ]
    unused = [f"{side}: {sentence}" for side, about in sides.items() for sentence in about.left_out]
    return [
        *gates(found),
        Paragraph(" ".join(held)),
        *_moved(found.moves),
        *_listed("Only in one", only),
        Section("What differs in setting and environment", (_differing(found),)),
        *_listed("Left out", unused),
    ]


def gates(found: FolderComparison) -> list[Block]:
    """Whether B is worse in what was asked for; nothing where nothing was."""
    if not found.gates:
        return []
    worse = [gate for gate in found.gates if gate.verdict == "worse"]
    said = f"{len(worse)} of {len(found.gates)} comparisons" if worse else "no comparison"
    headings = ("variant", "asked", "verdict", "metric", "B against A", "interval")
    rows: list[tuple[Text, ...]] = [
        (
            gate.label, gate.asked, (Strong(gate.verdict),) if gate.verdict == "worse" else gate.verdict,
            METRICS[gate.metric].title, _change(gate, gate.change),
            NOT_KNOWN if gate.interval is None else " to ".join(_change(gate, end) for end in gate.interval),
        )
        for gate in found.gates
    ]  # fmt: skip
    how = (
        "Worse is beyond noise: all tests asked for share 5 % (Bonferroni). Accuracies are compared by the exact "
        "paired test, in points; speeds as ratios, by Welch's test of their logarithms; memory is counted, and "
        "needs no test."
    )
    return [
        Section(
            "Gate",
            (
                Paragraph(f"B ({found.b.path}) is worse than A ({found.a.path}) in {said}."),
                Table(headings, tuple(rows), "llllrr"),
                Paragraph(how),
            ),
        )
    ]


def _change(gate: Gate, value: float | None) -> str:
    if value is None:
        return NOT_KNOWN
    if gate.metric == "test_accuracy":
        return f"{100 * value:+.2f}".replace("-", "−")
    return f"×{value:.3g}"


def _listed(title: str, items: Sequence[str]) -> list[Block]:
    return [Section(title, (Bullets(tuple(items)),))] if items else []


def _moved(moves: Sequence[Move]) -> list[Block]:
    if not moves:
        return [Paragraph((Strong("No variant is in both: there is nothing to compare."),))]
    counts = Counter(move.verdict for move in moves).most_common()
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts)
    headings = ("variant", "B against A", "difference, points", "A, %", "B, %", "failed, A → B", "equal cells")
    rows: list[tuple[Text, ...]] = [
        (
            move.label, (Strong(move.verdict),), _difference(move), *map(text.percent_spread, move.accuracy),
            " → ".join(f"{tally.count}/{tally.of}" for tally in move.failed),
            f"{move.num_equal}/{move.num_shared}",
        )
        for move in moves
    ]  # fmt: skip
    how = (
        "The difference in test accuracy is B less A, failed networks included: by the exact paired test over "
        "shared seeds; by Welch's test if no seed is shared and no network failed. Intervals hold for all "
        "variants together (Bonferroni); up and down are beyond them. Equal cells have one id, and records "
        "that repeat in all but times and memory."
    )
    costs = table_of(
        [
            ("parameters", lambda move: _count(move.counts["num_params"])),
            ("MACs per image", lambda move: _count(move.counts["num_macs"])),
            *((heading, _ratio(metric)) for heading, metric in _COSTS.items()),
        ],
        moves,
        [move.label for move in moves],
    )
    measured = (
        "Counts are exact. Costs are B over A, with the 95 % interval of Welch's test on logarithms, if both "
        "folders hold measurements; the two were made at different times, so a drift of the machine is part of "
        "the ratio."
    )
    return [
        Paragraph(f"Of {len(moves)} variants in both, by test accuracy: {said}."),
        Section(
            "What moved", (Table(headings, tuple(rows), "llrrrrr"), Paragraph(how), *costs, Paragraph(measured))
        ),
    ]


def _difference(move: Move) -> str:
    if move.difference is None:
        return NOT_KNOWN
    points = [100 * value for value in (move.difference, *(move.interval or ()))]
    mean, *ends = (f"{value:+.2f}".replace("-", "−") for value in points)
    interval = f" ({ends[0]} to {ends[1]})" if ends else ""
    return f"{mean}{interval}, n={move.n}{'' if move.paired else ', not paired'}"


def _count(pair: Sequence[int | None]) -> str:
    a, b = (text.human_count(count) for count in pair)
    return a if pair[0] == pair[1] else f"{a} → {b}"


def _ratio(metric: str) -> Callable[[Move], str]:
    def shown(move: Move) -> str:
        found: CostRatio | None = move.costs.get(metric)
        return NOT_KNOWN if found is None else text.ratio(found.estimate, found.interval)

    return shown


def _differing(found: FolderComparison) -> Block:
    def values(known: Sequence[object]) -> str:
        return " / ".join(map(text.field_value, known)) or "none"

    rows = [
        (one.field, text.field_value(one.a, one.field), text.field_value(one.b, one.field), "; ".join(one.labels))
        for one in found.settings
    ]
    rows += [(one.name, values(one.a), values(one.b), "") for one in found.environment]
    if not rows:
        return Paragraph("Nothing that the records know of.")
    return Table(("field", "A", "B", "variants"), tuple(rows), "llll")
