"""A process that writes results as a run does, and can be killed anywhere in its writing.

It reads commands from stdin and answers each in a line. `claim FOLDER` forks a child that holds the folder and
obeys the rest: `finish CELL VERSION` writes predictions and record; `die N CELL VERSION` the same, but is killed
with -9 before the Nth line of files.py that it comes to; `release` ends it. At its end, `ended STATUS` follows.
"""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from nin_bench import files
from nin_bench.errors import ResultsError
from nin_bench.results import Record, ResultsFolder
from nin_bench.results.folder_lock import sole_writer
from nin_bench.results.predictions import unpack_predictions
from tests.predictions_fixture import write_predictions


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def finish(folder: ResultsFolder, cell_id: str, version: str) -> None:
    """As a run does when a cell has ended; what it writes was prepared beside the folder."""
    prepared = folder.path.parent / "prepared"
    predictions = unpack_predictions((prepared / f"{cell_id}.npz").read_bytes(), cell_id)
    record = Record.read(prepared / f"{cell_id}.json")
    metrics = record.metrics.model_copy(update={"num_steps": int(version)})
    write_predictions(folder, cell_id, predictions)
    folder.write_record(record.model_copy(update={"metrics": metrics}))


def die_at(number: int) -> None:
    """Kill this process before it executes so many lines of files.py: what it session in memory is then gone."""
    left = number

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename != files.__file__:
            return None
        left -= event == "line"
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)


def hold(folder: ResultsFolder) -> None:
    """Obey until told to release."""
    with sole_writer(folder.path):
        say(f"session {os.getpid()}")
        for line in sys.stdin:
            command, *arguments = line.split()
            if command == "release":
                return
            if command == "die":
                die_at(int(arguments.pop(0)))
            finish(folder, *arguments)
            say("done")


def main() -> None:
    for line in sys.stdin:
        _, path = line.split()
        child = os.fork()
        if child == 0:
            try:
                hold(ResultsFolder(Path(path)))
            except ResultsError as error:
                say(f"refused {error}")
            os._exit(0)
        _, status = os.waitpid(child, 0)
        say(f"ended {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main()
