"""The request that work ends: asked for first, then enforced."""

import time
from dataclasses import dataclass
from typing import Literal

STOP_SECONDS = 30.0
"""How long a worker that was asked to stop may take before it is killed."""

Wish = Literal["go on", "stop", "stop at once"]


@dataclass
class StopRequest:
    """What was asked for, and how long ago. Safe in a signal handler."""

    _asked: float | None = None
    _at_once: bool = False

    def make(self) -> None:
        """Ask for an end; called again, for one at once."""
        self._at_once = self._asked is not None
        self._asked = self._asked or time.monotonic()

    @property
    def is_made(self) -> bool:
        """Whether an end was asked for."""
        return self._asked is not None

    @property
    def wish(self) -> Wish:
        """What workers have to do now."""
        if self._asked is None:
            return "go on"
        return "stop at once" if self._at_once or time.monotonic() - self._asked > STOP_SECONDS else "stop"
