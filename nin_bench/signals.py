"""The signals by which a run is asked to end. Imports nothing of ours, nor anything that takes time."""

import signal

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""What asks a run to save and end: Ctrl-C, a supervisor, a terminal that closes, a scheduler's warning."""
