"""What a forkserver imports before all else: from then on it ends when its parent does.

By itself a forkserver looks for its parent's end only between two requests, and not at all while it imports what
it preloads, which takes seconds. A timer does: unlike a thread it is safe where processes fork, and no worker
inherits it. What it preloads is no garbage either: a worker, once it is forked, looks for its own alone.
"""

import gc
import os
import signal

CHECK_SECONDS = 0.5

_parent = os.getppid()


def _end_with_parent(*_: object) -> None:
    if os.getppid() != _parent:
        os._exit(1)


signal.signal(signal.SIGALRM, _end_with_parent)
signal.setitimer(signal.ITIMER_REAL, CHECK_SECONDS, CHECK_SECONDS)
gc.disable()
