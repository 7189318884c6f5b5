"""The head of a Ray cluster, as its driver sees it: there, out of reach for now, or gone."""

import socket
import time
from dataclasses import dataclass, field

from nin_bench.errors import MachineError

ANSWER_SECONDS = 1.0
"""How long a head may take to answer."""
GONE_SECONDS = 20.0
"""After so long without an answer it is gone; after 60 s Ray ends the driver's process."""


def reach(address: str) -> None:
    """See that something listens at HOST:PORT; OSError if not."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()


@dataclass
class Head:
    """A head, at the HOST:PORT of its control service.

    It is asked by a connection of our own. Ray's calls wait for a head that is gone, and end this process after a
    minute; where another has taken its place, at once.
    """

    address: str
    failure: MachineError | None = None
    """What to raise once it is gone for good."""
    _answered: float = field(default_factory=time.monotonic)

    def answers(self) -> bool:
        """Whether it can be asked now."""
        if self.failure is not None:
            return False
        try:
            reach(self.address)
        except OSError as error:
            # Refused: its machine is there, and nothing listens on it any more.
            if isinstance(error, ConnectionRefusedError) or time.monotonic() - self._answered > GONE_SECONDS:
                self.failure = MachineError(
                    f"the head of the Ray cluster is gone ({self.address}: {error.strerror or error}); start it "
                    "again, then run the same command again"
                )
            return False
        self._answered = time.monotonic()
        return True
