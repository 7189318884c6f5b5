"""How names and numbers are written on a page. Rounding happens here and nowhere else."""

import math
from collections.abc import Collection, Iterable
from typing import Any

from nin_bench.analysis.tables import Spread, Tally
from nin_bench.metrics import Unit
from nin_bench.reporting.blocks import NOT_KNOWN

EXACT = "exact"
"""In the place of n, where what decided was counted and rests on no pairs."""


def shortened(text: str, limit: int) -> str:
    """The text on one line, cut off with an ellipsis beyond `limit` letters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 2]} …"


def sentence(text: str) -> str:
    r"""The text on one line, with a capital letter first.

    >>> sentence("which one,\n  and why?")
    'Which one, and why?'
    """
    line = " ".join(text.split())
    return line[:1].upper() + line[1:]


def human_count(count: float | None) -> str:
    """Three digits and a unit.

    >>> human_count(1_992_166), human_count(762_297_352)
    ('1.99 M', '762 M')
    """
    if count is None:
        return NOT_KNOWN
    for unit, size in (("", 1), (" k", 1e3), (" M", 1e6), (" G", 1e9)):
        if abs(count) < 999.5 * size:
            return f"{count / size:.3g}{unit}"
    return f"{count / 1e12:.3g} T"


def human_bytes(count: float | None) -> str:
    """Three digits and a decimal unit.

    >>> human_bytes(7_968_664), human_bytes(640)
    ('7.97 MB', '640 B')
    """
    if count is None:
        return NOT_KNOWN
    value, _, unit = human_count(count).partition(" ")
    return f"{value} {unit}B"


def megabytes(count: float | None) -> str:
    """Three digits, in MB.

    >>> megabytes(7_968_664), megabytes(None)
    ('7.97', '–')
    """
    return NOT_KNOWN if count is None else three_digits(count / 1e6)


def rounds(median: float, quartiles: tuple[float, float], divisor: float = 1) -> str:
    """A median to three digits, and its quartiles to the same place.

    >>> rounds(1912.4, (1890.2, 1931.0)), rounds(0.01234, (0.0122, 0.0131), 1e-3)
    ('1,912 (1,890–1,931)', '12.3 (12.2–13.1)')
    """
    decimals = _decimals(median / divisor)
    low, high = (f"{end / divisor:,.{decimals}f}" for end in quartiles)
    return f"{median / divisor:,.{decimals}f} ({low}–{high})"


def residue(share: float) -> str:
    """A relative difference in percent, two digits of it.

    >>> residue(-0.00213), residue(0.0)
    ('−0.21 %', '0 %')
    """
    return f"{100 * share:+.2g} %".replace("-", "−").replace("+0 %", "0 %")


def three_digits(value: float) -> str:
    """A number to three digits.

    >>> three_digits(12.345), three_digits(1234.5)
    ('12.3', '1,234')
    """
    return f"{value:,.{_decimals(value)}f}"


def ratio(mean: float, interval: tuple[float, float] | None) -> str:
    """A factor and its interval to the same place; three digits.

    >>> ratio(0.6213, (0.6002, 0.6412)), ratio(12.0, None)
    ('×0.621 (0.600 to 0.641)', '×12.0')
    """
    decimals = _decimals(mean)
    ends = f" ({interval[0]:,.{decimals}f} to {interval[1]:,.{decimals}f})" if interval else ""
    return f"×{mean:,.{decimals}f}{ends}"


def percent_spread(spread: Spread, sign: str = "") -> str:
    """Mean, spread and count of shares; with one value no spread.

    >>> percent_spread(Spread(mean=0.9123, sd=0.0031, n=3))
    '91.2 ± 0.3 (n=3)'
    """
    if spread.mean is None:
        return NOT_KNOWN
    deviation = "" if spread.sd is None else f" ± {100 * spread.sd:.1f}"
    return f"{100 * spread.mean:{sign}.1f}{deviation} (n={spread.n})".replace("-", "−")


def quantity_spread(spread: Spread) -> str:
    """Mean to three digits, its spread to the same place, and the count.

    >>> quantity_spread(Spread(mean=118.2, sd=3.1, n=3)), quantity_spread(Spread(mean=1.5, sd=None, n=1))
    ('118 ± 3 (n=3)', '1.50 (n=1)')
    """
    if spread.mean is None:
        return NOT_KNOWN
    decimals = _decimals(spread.mean)
    deviation = "" if spread.sd is None else f" ± {spread.sd:,.{decimals}f}"
    return f"{spread.mean:,.{decimals}f}{deviation} (n={spread.n})"


def metric_spread(spread: Spread, unit: Unit) -> str:
    """Mean, spread and count in the metric's unit; counts whole.

    >>> metric_spread(Spread(0.88, 0.005, 82), "share"), metric_spread(Spread(46_764_746, None, 1), "count")
    ('88.0 % ± 0.5 (n=82)', '46,764,746')
    """
    if spread.mean is None:
        return NOT_KNOWN
    if unit == "count":
        return f"{spread.mean:,.0f}"
    if unit == "share":
        return percent_spread(spread).replace(" ", " % ", 1)
    return quantity_spread(spread).replace(" ", f" {unit} ", 1)


def tally(found: Tally) -> str:
    """How many, of how many of which it is known.

    >>> tally(Tally(1, 8))
    '1 of 8'
    """
    return f"{found.count} of {found.of}" if found.of else NOT_KNOWN


def mean_of(spread: Spread) -> str:
    """A mean to three digits.

    >>> mean_of(Spread(mean=71.34, sd=3.1, n=3))
    '71.3'
    """
    return NOT_KNOWN if spread.mean is None else three_digits(spread.mean)


def field_value(value: Any, name: str = "") -> str:
    """A value of data, recipe or environment."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and name.endswith("_bytes"):
        return f"{value / 2**30:.1f} GiB"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def number_ranges(numbers: Iterable[int]) -> str:
    """Whole numbers, runs of three or more written as a range.

    >>> number_ranges([0, 1, 2, 3, 7])
    '0–3, 7'
    """
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = [f"{run[0]}–{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return ", ".join(parts)


def named_seeds(seeds: Collection[int]) -> str:
    """Seeds, as a sentence names them.

    >>> named_seeds([3]), named_seeds([0, 1, 2])
    ('seed 3', 'seeds 0–2')
    """
    return f"seed{'' if len(seeds) == 1 else 's'} {number_ranges(seeds)}"


def _decimals(value: float) -> int:
    """The number of decimals that show three digits."""
    return 2 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
