"""How names and numbers are written on a page. Rounding happens here and nowhere else."""

import math
import re
from collections.abc import Iterable

from nin_bench.analysis.tables import Spread
from nin_bench.errors import printable
from nin_bench.metrics import Unit

NOT_KNOWN = "–"
EXACT = "exact"
"""In the place of n, where what decided was counted and rests on no pairs."""

_MARKUP = re.compile(r"[\\`*\[\]{}|~#$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_BECOMES_LINK = re.compile(
    r"(?<=:)(?=//)|(?<=www)(?=\.)|(?<=@)|(?<=#)(?=\d)|(?<=GH-)(?=\d)|(?<=:)(?=[\w+-]+:)", re.IGNORECASE
)
"""Where GitHub would go on to an address, a person, an issue or a picture (`:name:`)."""

BREAK = "<!-- -->"
"""Shows nothing, and parts what stands before it from what stands behind."""

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


class Markdown(str):
    """Text that is Markdown already and must not be escaped again."""


def shortened(text: str, limit: int) -> str:
    """The text on one line, cut off with an ellipsis beyond `limit` letters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 2]} …"


def escape_markdown(text: object) -> Markdown:
    r"""Text that a Markdown table or paragraph shows letter by letter, whatever is in it.

    >>> escape_markdown("a|b <i>")
    'a\\|b &lt;i&gt;'
    """
    if isinstance(text, Markdown):
        return text
    escaped = _MARKUP.sub(r"\\\g<0>", printable(text))
    escaped = re.sub("[&<>]", lambda match: _ENTITIES[match.group()], escaped)
    return Markdown(_BECOMES_LINK.sub(BREAK, escaped))


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


def rounds(median: float, quartiles: tuple[float, float], divisor: float = 1) -> str:
    """A median to three digits, and its quartiles to the same place.

    >>> rounds(1912.4, (1890.2, 1931.0)), rounds(0.01234, (0.0122, 0.0131), 1e-3)
    ('1,912 (1,890 to 1,931)', '12.3 (12.2 to 13.1)')
    """
    decimals = _decimals(median / divisor)
    low, high = (f"{end / divisor:,.{decimals}f}" for end in quartiles)
    return f"{median / divisor:,.{decimals}f} ({low} to {high})"


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


def quantity_spread(spread: Spread, divisor: float = 1) -> str:
    """Mean to three digits, its spread to the same place, and the count.

    >>> quantity_spread(Spread(mean=118.2, sd=3.1, n=3)), quantity_spread(Spread(mean=90.0, sd=None, n=1), 60)
    ('118 ± 3 (n=3)', '1.50 (n=1)')
    """
    if spread.mean is None:
        return NOT_KNOWN
    mean = spread.mean / divisor
    decimals = _decimals(mean)
    deviation = "" if spread.sd is None else f" ± {spread.sd / divisor:,.{decimals}f}"
    return f"{mean:,.{decimals}f}{deviation} (n={spread.n})"


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


def num_pairs(n: int | None) -> str:
    """What a verdict rests on, as a table shows it.

    >>> num_pairs(8), num_pairs(None)
    ('8', 'exact')
    """
    return EXACT if n is None else str(n)


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


def _decimals(value: float) -> int:
    """As many as show three digits."""
    return 2 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
