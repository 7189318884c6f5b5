"""What `run` says at its end: what came of every claim."""

from typing import TYPE_CHECKING

from nin_bench.cli.options import print_table, tell

if TYPE_CHECKING:
    from nin_bench.analysis.analysis import Analysis
    from nin_bench.analysis.verdicts import Verdict


def print_verdicts(analysis: "Analysis") -> None:
    """Print a line for each hypothesis: the verdict, the effect with its interval, the claim."""
    if not analysis.hypotheses:
        return
    tell("verdicts:")
    print_table(
        [[f"  {verdict.verdict}", *_effect(verdict), _claim(verdict)] for verdict in analysis.hypotheses],
        num_left=4,
    )


def _effect(verdict: "Verdict") -> tuple[str, str]:
    from nin_bench.reporting.units import as_cells

    if verdict.effect is None:
        return "–", ""
    is_factor = verdict.factor is not None
    margins = [margin for margin in (verdict.margin, verdict.factor) if margin is not None]
    effect, interval = as_cells(None if is_factor else verdict.unit, verdict.effect, verdict.ends, margins)
    return effect, f"({'counted' if verdict.is_counted else interval or 'no interval'})"


def _claim(verdict: "Verdict") -> str:
    said = [
        *([f"not testable: {verdict.reason}"] if verdict.reason else []),
        *(["post hoc"] if verdict.post_hoc else []),
        *(["not all cells have ended"] if verdict.early else []),
        *(["failures point against it"] if verdict.trade_off else []),
    ]
    return f"{verdict.claim} [{'; '.join(said)}]" if said else verdict.claim
