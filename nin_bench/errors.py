"""The one tree of exceptions, and the words that every refusal shares. Imports nothing of ours."""

import json
import unicodedata
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories that break lines, turn the reading direction, steer a terminal or cannot be encoded."""
MAX_NAMES = 100
"""A refusal lists all known names up to this number; of more, such as timm's, only the first."""


class NinBenchError(Exception):
    """Base of every error that is meant for the user; its text is one line that names the remedy."""


class InputError(NinBenchError):
    """The input is wrong: a grid, an option, a data file. The command line exits with 2."""


class MultipleInputError(InputError):
    """Several mistakes in one input, one line each."""

    MOST = 10
    """More than these are counted, not shown."""

    def __init__(self, errors: Sequence[InputError]) -> None:
        super().__init__(errors)
        self.errors = tuple(errors)

    def __str__(self) -> str:
        left = len(self.errors) - self.MOST
        lines = [str(error) for error in self.errors[: self.MOST]]
        return "\n".join([*lines, f"and {left:,} more"] if left > 0 else lines)


class SpecError(InputError):
    """A value was refused by whoever knows what it means; the grid adds file, line and column.

    Args:
        field: the refused field, dotted below its section (``pointwise``, ``resolution``).
        message: the value found, what is wrong with it and what would be right.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(field, message)  # both, so that it can be pickled on its way out of a worker
        self.field = field
        self.message = message

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class ResultsError(NinBenchError):
    """The results folder cannot be used: not writable, held by another run, of another grid. Exits with 2."""


class MachineError(NinBenchError):
    """The machine refuses what a run needs: a process, a pipe, a temporary file. Exits with 2."""


def shown(value: object) -> str:
    """A value as an error names it: as YAML writes it, short, on one line.

    >>> shown(None), shown(True), shown("gap"), shown([1, 2])
    ('null', 'true', "'gap'", 'a list')
    """
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def printable(text: object) -> str:
    r"""The text on one line, with line breaks, control and direction marks written out.

    >>> printable("a\nb\u202ec")
    'a\\nb\\u202ec'
    """
    line = str(text)
    if line.isprintable():  # as nearly every one is
        return line
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _UNSEEN else char for char in line
    )


def unknown_name(kind: str, name: object, known: Iterable[str]) -> str:
    """Say that a name is unknown, suggest the nearest known one and list them all, or the first of very many.

    >>> unknown_name("model", "nni", ["lenet", "nin"])
    "unknown model 'nni'; did you mean 'nin'? Known: lenet, nin"
    """
    names = sorted(known)
    nearest = get_close_matches(str(name), names, n=1)
    guess = f"did you mean {nearest[0]!r}? " if nearest else ""
    listed = names if len(names) <= MAX_NAMES else [*names[:12], f"and {len(names) - 12:,} more"]
    return f"unknown {kind} {name!r}; {guess}Known: {', '.join(listed)}"


def some_of(names: Sequence[object], most: int = 12) -> str:
    """The first few of many names, and how many more there are.

    >>> some_of(["a", "b", "c"], most=2)
    'a; b; and 1 more'
    """
    rest = [f"and {len(names) - most} more"] if len(names) > most else []
    return "; ".join([*map(str, names[:most]), *rest])


def counted(count: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "seed"), counted(1200, "seed")
    ('1 seed', '1,200 seeds')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
