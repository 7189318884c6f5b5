"""What `plan` says of the verdicts that the planned seeds can bring."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nin_bench.cli.options import counted, tell

if TYPE_CHECKING:
    from nin_bench.analysis.power import Prospect
    from nin_bench.plan import PlannedCell


@dataclass(frozen=True)
class MoreSeeds:
    """What another number of seeds can decide, and costs."""

    num_seeds: int
    num_decided: int
    """Hypotheses with a chance of `POWER` or more of a verdict."""
    seconds: float | None
    """Beyond the planned run; None where some variant was not measured on this machine."""


def print_prospects(prospects: "Sequence[Prospect]", more: Sequence[MoreSeeds]) -> None:
    """Tell each hypothesis' prospects, what they rest on, and what more seeds would bring; nothing without any."""
    if not prospects:
        return
    from nin_bench.analysis.power import POWER

    tell("")
    tell(f"What the seeds can decide, with a chance of {POWER:.0%} and as long as every network is healthy:")
    width = max(len(prospect.id) for prospect in prospects)
    for prospect in prospects:
        for number, line in enumerate(_lines(prospect)):
            tell(f"{'' if number else prospect.id:{width}}  {line}")
    for line in _conclusion(prospects, more):
        tell(line)


def _lines(prospect: "Prospect") -> list[str]:
    if prospect.untested is not None:
        least = prospect.least_pairs
        return [prospect.untested + (f", which takes {counted(least, 'pair')} or more" if least else "")]
    level = f"{counted(prospect.num_seeds, 'seed')} at level {prospect.level:.3g}"
    if prospect.detectable_sds is None:
        return [f"{level}: one pair decides nothing"]
    detects = f"{prospect.detectable_sds:.2g} standard deviations of the paired differences"
    if prospect.spread is None:
        return [f"{level} detect a truth {detects} beyond the margin; how much that is, no record tells"]
    assert prospect.detectable is not None
    spread = f"sd {_shown(prospect, prospect.spread.sd)}, {_basis(prospect)}"
    lines = [f"{level} detect a truth {_shown(prospect, prospect.detectable)} beyond the margin ({spread})"]
    for outlook in prospect.outlooks:
        needed = "no thousand seeds do" if outlook.seeds_needed is None else f"{outlook.seeds_needed} seeds do"
        truth = _shown(prospect, outlook.truth, sign="+")
        lines.append(f"if it is {truth}, {outlook.why}: decided with a chance of {outlook.decided:.0%}; {needed}")
    if (collapse := prospect.collapse) and collapse.num_healthy < collapse.num_pairs:
        failed = collapse.num_pairs - collapse.num_healthy
        lines.append(
            f"in the pilot {failed} of {counted(collapse.num_pairs, 'pair')} had a network that failed, so here "
            f"some will with a chance of {collapse.chance(prospect.num_seeds):.0%}; then ranks decide, which "
            f"takes {prospect.least_pairs} pairs or more"
        )
    return lines


def _basis(prospect: "Prospect") -> str:
    spread = prospect.spread
    assert spread is not None
    if spread.basis == "pilot":
        return f"of {spread.num_pairs} pairs of {spread.pilot}"
    return "as the grid assumes" if spread.basis == "assumed" else "assumed"


def _conclusion(prospects: "Sequence[Prospect]", more: Sequence[MoreSeeds]) -> list[str]:
    from nin_bench.progress import human_duration

    lines = []
    if any(prospect.spread and prospect.spread.basis == "default" for prospect in prospects):
        lines.append(
            "Assumed, since no record and no grid tells: accuracies vary by one point (sd) over seeds, without "
            "correlation. Give --pilot RESULTS_DIR, or the grid an `assume` section."
        )
    foreseen = [prospect for prospect in prospects if prospect.outlooks]
    if not foreseen:
        return lines
    num_seeds = max(prospect.num_seeds for prospect in foreseen)
    num_open = sum(not prospect.can_decide for prospect in foreseen)
    if not num_open:
        return [*lines, f"{counted(num_seeds, 'seed')} can decide all of {len(foreseen)}."]
    said = [f"{counted(num_seeds, 'seed')} cannot decide {num_open} of {len(foreseen)}"]
    for step in more:
        left = len(foreseen) - step.num_decided
        cost = "not measured here yet" if step.seconds is None else f"{human_duration(step.seconds)} more"
        said.append(f"{step.num_seeds} can decide {f'all but {left}' if left else 'all'} ({cost})")
    return [*lines, "; ".join(said) + "."]


def _shown(prospect: "Prospect", value: float, sign: str = "") -> str:
    from nin_bench.metrics import METRICS

    if prospect.factor:
        return f"×{value:.3g}"
    unit = METRICS[prospect.metric].unit
    number, name = (100 * value, "points") if unit == "share" else (value, unit)
    return f"{number:{sign if value else ''}.2g} {name}".replace("-", "−")


def more_seeds(
    prospects: "Sequence[Prospect]", planned: "Iterable[PlannedCell]", num_workers: int
) -> list[MoreSeeds]:
    """The numbers of seeds beyond those planned at which some further hypothesis can be decided.

    Args:
        prospects: as `foresee` found them.
        planned: the cells with their estimates; each variant is taken to need as long for every seed.
        num_workers: how many cells run at a time.
    """
    from nin_bench.estimates import makespan

    open_ = [prospect for prospect in prospects if prospect.outlooks and not prospect.can_decide]
    needs = [need for one in open_ if (need := one.outlooks[0].seeds_needed) is not None]
    num_now = max((one.num_seeds for one in open_), default=0)
    seconds: dict[str, float | None] = {}
    for cell in planned:
        known = [value for value in (seconds.get(cell.cell.label), cell.estimate.seconds) if value is not None]
        seconds[cell.cell.label] = max(known, default=None)  # the estimate of a resumed cell lacks its start
    num_decided = sum(prospect.can_decide for prospect in prospects)

    def cost(extra: int) -> float | None:
        known = [value for value in seconds.values() if value is not None]
        return makespan(known * extra, num_workers) if len(known) == len(seconds) else None

    return [
        MoreSeeds(count, num_decided + sum(need <= count for need in needs), cost(count - num_now))
        for count in sorted({need for need in needs if need > num_now})
    ]
