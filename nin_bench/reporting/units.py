"""Differences and ratios as a page shows them: in which unit, and to how many places."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nin_bench.metrics import UNITS, Unit
from nin_bench.reporting.text import human_count
from nin_bench.stats.claims import Interval

_MOST_DECIMALS = 6


@dataclass(frozen=True)
class Quantity:
    """How an effect, the ends of its interval and its margin are written: in one unit, to the same place."""

    unit: Unit | None
    """The unit of the effect; None for a factor."""
    decimals: int

    @classmethod
    def of(
        cls, unit: Unit | None, effect: float, interval: Interval | None = None, held_against: Sequence[float] = ()
    ) -> "Quantity":
        """Two digits of the interval's width, three of the effect where there is none (two of a share).

        More where an end of the interval would look equal to what it is held against, and is not.
        """
        scale = cls(unit, 0).scale
        least = 1 if unit == "share" else 0
        if interval is None:
            digits = 2 if unit == "share" else 3
            return cls(unit, 0 if unit == "count" else max(least, _places(effect * scale, digits)))
        ends = [end for end in interval if math.isfinite(end)]  # one may be unbounded
        width = interval[1] - interval[0] if len(ends) == 2 else abs(ends[0] - effect)
        decimals = max(least, _places(width * scale, 2))
        pairs = [(end * scale, margin * scale) for end in ends for margin in held_against]
        while decimals < _MOST_DECIMALS and any(
            end != margin and f"{end:z.{decimals}f}" == f"{margin:z.{decimals}f}" for end, margin in pairs
        ):
            decimals += 1
        return cls(unit, decimals)

    @property
    def scale(self) -> float:
        """What a raw value is multiplied by."""
        return 1.0 if self.unit is None else UNITS[self.unit].scale

    @property
    def name(self) -> str:
        """What stands behind a number."""
        return "" if self.unit is None else UNITS[self.unit].suffix

    def number(self, value: float) -> str:
        """A value, without its unit; with a proper minus, and none before a zero.

        >>> Quantity("share", 1).number(-0.0123), Quantity("share", 1).number(-0.0001)
        ('−1.2', '0.0')
        """
        return f"{value * self.scale:z,.{self.decimals}f}".replace("-", "−")

    def signed(self, value: float) -> str:
        """A value without its unit, with a plus above zero.

        >>> Quantity("bytes", 1).signed(16_668_976), Quantity("share", 1).signed(0.0001)
        ('+16.7', '0.0')
        """
        number = self.number(value)
        return number if self.is_zero(value) or value < 0 else f"+{number}"

    def is_zero(self, value: float) -> bool:
        """Whether a difference looks like zero to this place."""
        return round(value * self.scale, self.decimals) == 0


def as_cells(
    unit: Unit | None, effect: float, interval: Interval | None, held_against: Sequence[float] = ()
) -> tuple[str, str | None]:
    """An effect and its interval as cells of a table; counts to three digits.

    >>> as_cells("share", -0.0102, (-0.089, 0.068), [0.01])
    ('−1.0 points', '−8.9 to +6.8 points')
    >>> as_cells("count", -4_489_400, None), as_cells(None, 0.0709, None)
    (('−4.49 M', None), ('×0.0709', None))
    """
    quantity = Quantity.of(unit, effect, interval, held_against)
    if unit is None:
        ends = interval and " to ".join(
            f"×{quantity.number(end)}" if math.isfinite(end) else "?" for end in interval
        )
        return f"×{quantity.number(effect) if interval else f'{effect:.3g}'}", ends
    if unit == "count":
        sign = "+" if effect > 0 else "−" if effect < 0 else ""
        shown = f"{sign}{human_count(abs(effect))}"
    else:
        shown = quantity.signed(effect) + quantity.name
    ends = interval and " to ".join(quantity.signed(end) if math.isfinite(end) else "?" for end in interval)
    return shown, ends and ends + quantity.name


def _places(size: float, digits: int) -> int:
    """Decimals that show so many digits of a size."""
    return 0 if size == 0 else min(_MOST_DECIMALS, max(0, digits - 1 - math.floor(math.log10(abs(size)))))
