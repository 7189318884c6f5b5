"""Sentences beside a report's tables. Plain text: whoever sets them on a page escapes them."""

import math
from collections.abc import Sequence

from nin_bench.analysis.analysis import Analysis
from nin_bench.analysis.costs import MachineCosts
from nin_bench.analysis.references import Comparison
from nin_bench.analysis.tables import Trouble
from nin_bench.metrics import METRICS
from nin_bench.results.cost_entry import CostEntry, Load

DISTURBED = 0.05
"""The share of the processor's time beyond which what others took of a round is worth a sentence."""
UNSTEADY = 0.1
"""By how much more the highest of a ceiling's samples may be than the lowest before that is worth one."""


def describe_trouble(trouble: Trouble) -> str:
    """Why a cell failed or collapsed, as far as its record tells."""
    return _collapsed(trouble) if trouble.collapsed else _failed(trouble)


def _collapsed(trouble: Trouble) -> str:
    if trouble.escape_epoch is not None:
        reasons = [f"left chance level in epoch {math.ceil(trouble.escape_epoch)}"]
    else:
        loss = trouble.train_loss
        reasons = ["never left chance level" + ("" if loss is None else f" (training loss ended at {loss:.3f})")]
    if dead := trouble.num_dead_maps:
        reasons.append(f"{dead} class {'map' if dead == 1 else 'maps'} dead")
    if tied := trouble.num_tied:
        reasons.append(f"no prediction for {tied:,} test {'image' if tied == 1 else 'images'}")
    return "; ".join(reasons)


def _failed(trouble: Trouble) -> str:
    at = "" if trouble.failed_step is None else f"at step {trouble.failed_step:,}, "
    epochs = f"after {trouble.num_epochs} whole {'epoch' if trouble.num_epochs == 1 else 'epochs'}"
    return at + epochs + (f": {trouble.error}" if trouble.error else "")


def describe_reference(found: Comparison) -> str:
    """What a published value says beside the measured one."""
    n = found.measured.n
    if not n:
        return "Nothing was measured to hold against it."
    if METRICS[found.metric].deterministic:
        return "The two counts are equal." if found.difference == 0 else "The two counts differ."
    failed = ""
    if found.num_collapsed:
        failed = (
            f"{found.num_collapsed} of our {n} networks collapsed, so that their mean describes none of them, "
            "and no interval is given."
        )
    if found.mixed and found.published.sd is not None:
        failed = (
            f"A deviation of {100 * found.published.sd:.1f} points is that of networks some of which failed, so "
            f"that the published mean describes none of them: no test is made. {failed}"
        ).rstrip()
    if found.percentile is not None:
        ties = f", and is equal to {found.num_equal}" if found.num_equal else ""
        lies = f"it lies above {found.num_below} of our {n}{ties} (percentile {100 * found.percentile:.0f})"
        return f"A single published run: {lies}. {failed}".rstrip()
    if found.interval is not None:
        low, high = found.interval
        if low > 0 or high < 0:
            return f"The whole interval lies {'above' if low > 0 else 'below'} zero: the means differ."
        return "The interval reaches across zero: no difference is told from luck, which is not the same as equal."
    return failed or "Without a spread on both sides there is no interval: the two stand side by side."


def describe_measuring(costs: MachineCosts) -> list[str]:
    """What a reader has to know of a machine's measurements."""
    rows = costs.rows
    found = []
    if disturbance := describe_disturbance([round_ for row in rows for round_ in row.entry.load]):
        found.append(disturbance)
    if unsteady := _unsteady_ceilings([row.entry for row in rows]):
        found.append(unsteady)
    if any(row.baseline for row in rows) and len({row.entry.measured_at for row in rows}) > 1:
        found.append(
            "Not all variants were measured together: only those measured in the baseline's are given "
            "relative to it."
        )
    found += [
        f"{row.label} could not be measured: {(row.entry.error or 'no reason was kept').splitlines()[0]}."
        for row in rows
        if row.entry.train is None
    ]
    if not any(row.entry.energy_joules_per_image for row in rows):
        found.append("Energy was not measured: this machine has no counter that could be read.")
    if any(row.seconds_by_kind and not row.seconds_with_backward for row in rows):
        found.append("Time by kind of layer is of forward passes: backward passes were not timed layer by layer.")
    return found


def _unsteady_ceilings(entries: Sequence[CostEntry]) -> str | None:
    """That the machine was not equally fast in all rounds, in a sentence; None where it about was."""
    ceilings = [rounds.samples for entry in entries for rounds in (entry.ceilings or {}).values()]
    spread = max((max(samples) / min(samples) - 1 for samples in ceilings if min(samples) > 0), default=0.0)
    if spread <= UNSTEADY:
        return None
    return (
        f"The machine's ceilings differed by up to {100 * spread:.0f} % between rounds: something slowed it "
        "meanwhile, and MFU and shares of a roof, which are of the highest, may be told too low."
    )


def describe_disturbance(rounds: Sequence[Load]) -> str | None:
    """What else went on, in a sentence; None where it hardly matters."""
    steal = [round_.steal_share or 0.0 for round_ in rounds]
    others = [round_.other_cpu_share or 0.0 for round_ in rounds]
    throttled = [bool(round_.throttled) for round_ in rounds]
    disturbed = [
        max(shares) > DISTURBED or slowed for *shares, slowed in zip(steal, others, throttled, strict=True)
    ]
    if not any(disturbed):
        return None
    causes = [
        *([f"other guests of its host took up to {100 * max(steal):.0f} % of the processor's time (steal)"]
          if max(steal) > DISTURBED else []),
        *([f"other processes took up to {100 * max(others):.0f} %"] if max(others) > DISTURBED else []),
        *([f"the processor was throttled in {sum(throttled)}"] if any(throttled) else []),
    ]  # fmt: skip
    return (
        f"Something else took part in {sum(disturbed)} of {len(rounds)} measurements: {', '.join(causes)}. "
        "Medians and ratios within rounds bear some of that, not all."
    )


def caveats(analysis: Analysis) -> list[str]:
    """What a reader has to know before believing the page: what the grid's author says first."""
    rows, setting = analysis.comparison, analysis.setting
    found = list(analysis.caveats)
    if most := max((row.trained for row in rows), default=0):
        workers = setting.environment.get("workers", [])
        beside = f" with {workers[0]} workers side by side" if len(workers) == 1 and workers[0] != 1 else ""
        found += [
            f"Images per second and minutes are of training steps alone, seen while training{beside} and not "
            "measured on their own: no claim about speed follows from them.",
            "The deviation is over seeds, on one and the same test set, whose own uncertainty comes on top.",
        ]
        if most == 1:
            found.append("One seed each: a difference between two variants cannot be told from luck.")
        elif most < 5:
            found.append(f"At most {most} seeds each: only large differences can be told from luck.")
    if any(row.healthy.of < row.trained for row in rows):
        found.append("Some cells trained too few steps to tell whether their networks escaped chance level.")
    if any(row.healthy.count < row.healthy.of for row in rows):
        found.append(
            "Test accuracy over all trained cells mixes networks that learned with those that collapsed; "
            "given healthy, it leaves the failures out and flatters a variant that often fails. "
            "Read both beside the counts."
        )
    if num_missing := analysis.outcomes.get("missing"):
        found.append(
            f"{num_missing} of {analysis.num_cells} planned cells have no record: all of this is preliminary."
        )
    if "lr" in setting.recipe:
        found.append(
            f"Every variant was trained with the same learning rate, {setting.recipe['lr']:g}; "
            "one that needs another is shown below its best."
        )
    else:
        found.append("Learning rates differ between variants; the records do not tell how they were chosen.")
    if _is_true(analysis, "test_every_epoch"):
        found.append("The test images were read after every epoch, as a diagnostic; no choice used it.")
    if mixed := [name for name, values in setting.environment.items() if len(values) > 1]:
        found.append(f"The records come from more than one machine or version: {', '.join(mixed)} differ.")
    return found


def _is_true(analysis: Analysis, field: str) -> bool:
    """Whether a field of the recipe is true of some variant."""
    setting = analysis.setting
    return bool(setting.recipe.get(field)) or any(
        entry.value is True for entry in setting.differing if entry.field == field
    )
