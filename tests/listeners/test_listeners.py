"""Listeners by name, from this package or another; one that fails or hangs costs a run nothing."""

import logging
import sys
import threading
from pathlib import Path

import pytest

from nin_bench import listeners
from nin_bench.errors import InputError
from nin_bench.executors import Slot
from nin_bench.listeners import listening, opener_of
from nin_bench.runner.events import CellStarted
from tests.cells import make_cell

EVENT = CellStarted(make_cell(), Slot("cpu"))
THEIRS = """
import threading
from contextlib import contextmanager

heard, places, released = [], [], threading.Event()

@contextmanager
def collecting(folder):
    places.append(folder)
    yield heard.append
    heard.append("closed")

@contextmanager
def failing(folder):
    def listen(event):
        heard.append(event)
        raise ValueError("no\\nserver")
    yield listen

@contextmanager
def hanging(folder):
    yield lambda event: released.wait()
"""


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A package of somebody else's, with listeners."""
    (tmp_path / "their_listeners.py").write_text(THEIRS)
    about = tmp_path / "theirs-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.2\n")
    lines = [f"{name} = their_listeners:{name}\n" for name in ("collecting", "failing", "hanging")]
    broken = "broken = their_listeners_that_are_gone:listen\n"
    (about / "entry_points.txt").write_text("".join(["[nin_bench.listeners]\n", *lines, broken]))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "their_listeners", raising=False)
    return __import__("their_listeners")


def test_another_package_brings_a_listener_that_hears_every_event(theirs, tmp_path):
    with listening(["collecting"], tmp_path) as hand_on:
        hand_on(EVENT)
        hand_on(EVENT)
    assert theirs.heard == [EVENT, EVENT, "closed"]
    assert theirs.places == [tmp_path]


def test_one_that_fails_is_a_single_note_and_the_others_hear_on(theirs, tmp_path, caplog):
    with listening(["failing", "collecting"], tmp_path) as hand_on:
        for _ in range(3):
            hand_on(EVENT)
    assert theirs.heard.count(EVENT) == 1 + 3
    [note] = caplog.records
    assert note.levelno == logging.WARNING
    assert note.getMessage() == "listener failing: failed and is off (no server); the run goes on"


def test_one_that_hangs_holds_up_neither_events_nor_the_end(theirs, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(listeners, "LAST_SECONDS", 0.05)
    with listening(["hanging"], tmp_path) as hand_on:
        for _ in range(4):
            hand_on(EVENT)
    theirs.released.set()
    [note] = caplog.records
    assert "listener hanging: " in note.getMessage()
    for thread in threading.enumerate():
        if thread.name == "listener hanging":
            thread.join()


def test_an_unknown_listener_is_refused_with_those_there_are(theirs):
    with pytest.raises(InputError, match="unknown listener 'tensorbord'; did you mean 'tensorboard'"):
        opener_of("tensorbord")
    with pytest.raises(InputError, match=r"Known: broken, collecting, failing, hanging, mlflow, tensorboard$"):
        opener_of("x")
    with pytest.raises(InputError, match=r"--listener broken: cannot be imported .*; mend the package of their_"):
        opener_of("broken")


def test_a_missing_package_is_refused_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    for name in [
        one for one in sys.modules if one.startswith(("torch.utils.tensorboard", "nin_bench.listeners.t"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(InputError, match=r"pip install 'nin-bench\[tensorboard\]'$"):
        opener_of("tensorboard")
