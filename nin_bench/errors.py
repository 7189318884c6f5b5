"""The one tree of exceptions, and the sentence that answers an unknown name. Imports nothing of ours."""

from collections.abc import Iterable
from difflib import get_close_matches


class NinBenchError(Exception):
    """Base of every error that is meant for the user; its text is one line that names the remedy."""


class InputError(NinBenchError):
    """The input is wrong: a grid, an option, a data file. The command line exits with 2."""


class SpecError(InputError):
    """A value was refused by whoever knows what it means; the grid adds file, line and column.

    Args:
        field: the refused field, dotted below its section (``pointwise``, ``resolution``).
        message: the value found, what is wrong with it and what would be right.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class ResultsError(NinBenchError):
    """The results folder cannot be used: not writable, held by another run, of another grid. Exits with 2."""


def unknown_name(kind: str, name: object, known: Iterable[str]) -> str:
    """Say that a name is unknown, suggest the nearest known one and list them all.

    >>> unknown_name("model", "nni", ["lenet", "nin"])
    "unknown model 'nni'; did you mean 'nin'? Known: lenet, nin"
    """
    names = sorted(known)
    nearest = get_close_matches(str(name), names, n=1)
    guess = f"did you mean {nearest[0]!r}? " if nearest else ""
    return f"unknown {kind} {name!r}; {guess}Known: {', '.join(names)}"
