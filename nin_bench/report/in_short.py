"""What a report comes to, in a few sentences: counts of verdicts, and what would decide those that are open."""

from collections.abc import Sequence

from nin_bench.report.hypotheses import Verdict
from nin_bench.stats import MOST_SEEDS, least_pairs

_ORDER = ("supported", "refuted", "trade-off", "undecided", "not testable")


def in_short(verdicts: Sequence[Verdict]) -> list[str]:
    """Sum up verdicts, by rule.

    Returns:
        Sentences; none without a verdict.
    """
    if not verdicts:
        return []
    undecided = [verdict for verdict in verdicts if verdict.verdict == "undecided"]
    by_rank = [verdict for verdict in undecided if verdict.details["test"] == "three parts"]
    return [_counts(verdicts), *_failures(by_rank, len(undecided)), *_takes(undecided)]


def _counts(verdicts: Sequence[Verdict]) -> str:
    found = [(outcome, sum(verdict.verdict == outcome for verdict in verdicts)) for outcome in _ORDER]
    (first, of_first), *others = [(name, count) for name, count in found if count]
    counted = _listed(
        [f"{of_first} {'is' if of_first == 1 else 'are'} {first}", *(f"{n} {name}" for name, n in others)]
    )
    said = f"Of {_number(len(verdicts), 'claim')}, {counted}."
    primary = [verdict for verdict in verdicts if verdict.primary]
    if 0 < len(primary) < len(verdicts):
        open_ones = sum(verdict.verdict in ("undecided", "not testable") for verdict in primary)
        decided = len(primary) - open_ones
        said += (
            f" Of the {len(primary)} primary ones, {decided or 'none'} {'is' if decided < 2 else 'are'} decided."
        )
    return said


def _failures(by_rank: Sequence[Verdict], num_undecided: int) -> list[str]:
    short = [verdict for verdict in by_rank if _num_pairs(verdict) < least_pairs(verdict.details["level"])]
    if not by_rank:
        return []
    said = (
        f"In {'all' if len(by_rank) == num_undecided else len(by_rank)} of the undecided, some network failed, "
        "and then pairs of seeds can only be counted"
    )
    if not short:
        return [f"{said}."]
    least = sorted({least_pairs(verdict.details["level"]) for verdict in short})
    there_are = sorted({_num_pairs(verdict) for verdict in short})
    return [
        f"{said}: that takes at least {_listed(list(map(str, least)), 'or')} seeds, and there are "
        f"{_listed(list(map(str, there_are)), 'or')}."
    ]


def _num_pairs(verdict: Verdict) -> int:
    """Of a verdict by ranks, which rests on seeds."""
    return len(verdict.details["seeds"])


def _takes(undecided: Sequence[Verdict]) -> list[str]:
    groups: dict[int, list[str]] = {}
    hopeless = []
    for verdict in undecided:
        if verdict.seeds_needed is not None:
            groups.setdefault(verdict.seeds_needed, []).append(verdict.id)
        elif verdict.details["test"] == "three parts":
            hopeless.append(verdict.id)
    parts = [f"{needed} would decide {_listed(ids)}" for needed, ids in sorted(groups.items())]
    if hopeless:
        parts.append(f"not even {MOST_SEEDS:,} would decide {_listed(hopeless)}")
    if not parts:
        return []
    return [f"If further seeds fall out like these, {'; '.join(parts)} (with a chance of 80 %)."]


def _listed(words: Sequence[str], last: str = "and") -> str:
    return f"{', '.join(words[:-1])} {last} {words[-1]}" if len(words) > 1 else words[0]


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
