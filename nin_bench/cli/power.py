"""What `plan` says of the verdicts that the planned seeds can bring."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nin_bench.cli.options import tell
from nin_bench.errors import counted

if TYPE_CHECKING:
    from nin_bench.analysis.power import Power


def print_power(hypotheses: "Sequence[Power]") -> None:
    """Tell the chance of a verdict on each hypothesis, and what it rests on; nothing without any."""
    if not hypotheses:
        return
    from nin_bench.analysis.power import POWER

    tell("")
    tell(f"What the planned seeds can decide (detectable: with a chance of {POWER:.0%}):")
    width = max(len(power.id) for power in hypotheses)
    for power in hypotheses:
        for number, line in enumerate(_lines(power)):
            tell(f"{'' if number else power.id:{width}}  {line}")
    for line in _conclusion(hypotheses):
        tell(line)


def _lines(power: "Power") -> list[str]:
    if power.untested is not None:
        return [power.untested]
    planned = f"{counted(power.num_seeds, 'seed')} at level {power.level:.3g}"
    if power.detectable_sds is None:
        return [f"{planned} can decide nothing; it takes {power.least_pairs}"]
    if power.spread is None:
        sds = f"{power.detectable_sds:.2g} standard deviations of the paired differences"
        return [f"{planned}: detectable {sds} beyond the margin; no record tells how much that is"]
    assert power.detectable is not None
    spread = f"sd {_shown(power, power.spread.sd)}, {_basis(power)}"
    lines = [f"{planned}: detectable {_shown(power, power.detectable)} beyond the margin ({spread})"]
    for scenario in power.scenarios:
        truth = _shown(power, scenario.truth, sign="+")
        sooner = scenario.expected_seeds < power.num_seeds
        after = f", after {scenario.expected_seeds:.0f} seeds on average" if sooner else ""
        chance = f"decided with a chance of {scenario.decided:.0%}{after}"
        lines.append(f"if the truth is {truth} ({scenario.why}): {chance}")
    if power.failures and any(power.failures.num_failed):
        a, b = power.failures.num_failed
        lines.append(
            f"in the pilot {a} and {b} of {power.failures.num_pairs} networks failed or lost a class; the chances "
            "above count on as many"
        )
    return lines


def _basis(power: "Power") -> str:
    spread = power.spread
    assert spread is not None
    if spread.basis == "pilot":
        return f"of {spread.num_pairs} pairs of {spread.pilot}"
    return "as the grid assumes" if spread.basis == "assumed" else "assumed"


def _conclusion(hypotheses: "Sequence[Power]") -> list[str]:
    lines = []
    if any(power.spread and power.spread.basis == "default" for power in hypotheses):
        lines.append(
            "Assumed, since no record and no grid tells: accuracies vary by one point (sd) over seeds, without "
            "correlation. Give --pilot RESULTS_DIR, or the grid an `assume` section."
        )
    known = [power for power in hypotheses if power.scenarios]
    if known:
        num_seeds = max(power.num_seeds for power in known)
        num_decided = sum(power.can_decide for power in known)
        lines.append(f"{counted(num_seeds, 'seed')} can decide {num_decided} of {len(known)}.")
    return lines


def _shown(power: "Power", value: float, sign: str = "") -> str:
    from nin_bench.metrics import METRICS

    if power.factor:
        return f"×{value:.3g}"
    unit = METRICS[power.metric].unit
    number, name = (100 * value, "points") if unit == "share" else (value, unit)
    return f"{number:{sign if value else ''}.2g} {name}".replace("-", "−")
