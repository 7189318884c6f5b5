import doctest
import io
import os
import re
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

import pytest

from nin_bench.cell import Cell, DataSpec, ModelSpec, Recipe
from nin_bench.estimates import RunEstimate, estimate_line, memory_warning
from nin_bench.executors import Slot
from nin_bench.grid import SearchSpec
from nin_bench.planning import PlannedCell
from nin_bench.progress import words
from nin_bench.progress.displays import counting_on, progress_on
from nin_bench.progress.words import short_labels
from nin_bench.results.studies import Range
from nin_bench.runner.cost_benchmark import BenchmarkStarted, SampleEnded
from nin_bench.runner.events import (
    CellEnded,
    CellResumed,
    CellStarted,
    EpochEnded,
    Estimated,
    Event,
    Planned,
    Probed,
)
from nin_bench.runner.record import make_record
from nin_bench.search.events import (
    SearchPlanned,
    TrialEnded,
    TrialEpoch,
    TrialEpochEnded,
    TrialResult,
    TrialStarted,
)

SLOTS = [Slot("cpu", 0), Slot("cpu", 1)]


def cell(seed: int, epochs: int = 2) -> Cell:
    return Cell(
        model=ModelSpec(name="nin"),
        data=DataSpec(name="digits"),
        recipe=Recipe(epochs=epochs),
        seed=seed,
        label="nin head=[gap]",
    )


def ended(
    seed: int, outcome: str, error: str | None = None, *, accuracy: float | None = None, will_retry: bool = False
) -> CellEnded:
    metrics = {"test_accuracy": accuracy}
    record = make_record(cell(seed), outcome, started_at="", error=error, metrics=metrics)
    return CellEnded(cell(seed), record, will_retry)


def epoch(seed: int, number: int, **row: float) -> EpochEnded:
    return EpochEnded(cell(seed), {"epoch": number, "train_loss": 2.3026, **row})


STORY: list[Event] = [
    Planned(
        [
            PlannedCell(cell(0), "missing"),
            PlannedCell(cell(1), "retry", "crashed"),
            PlannedCell(cell(2), "outdated", "trained"),
            PlannedCell(cell(3), "done", "trained"),
        ],
        SLOTS,
        ["cells/0.json was quarantined"],
    ),
    CellStarted(cell(0), Slot("cpu")),
    CellStarted(cell(1), Slot("cpu")),
    epoch(0, 1),
    epoch(0, 2, validation_accuracy=0.5),
    ended(0, "trained", accuracy=0.9031),
    ended(1, "crashed", "killed by SIGKILL: last words\nmore of them", will_retry=True),
    CellStarted(cell(2), Slot("cpu")),
    ended(2, "diverged", "the training loss became nan at step 3"),
    CellStarted(cell(1), Slot("cpu")),
    ended(1, "interrupted", "stopped before its end"),
]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, which stands still unless a test moves it."""
    now = [0.0]
    monkeypatch.setattr("nin_bench.progress.displays.time.monotonic", lambda: now[0])
    return now


def lines_of(events: list[Event]) -> list[str]:
    stream = io.StringIO()
    with progress_on(stream, "tiny, profile full") as listen:
        for event in events:
            listen(event)
    return stream.getvalue().splitlines()


def test_it_is_told_which_network_answered_probes_and_why_one_did_not(clock):
    assert lines_of([Probed(cell(3), None), Probed(cell(0), "RuntimeError: no room\nmore of it")]) == [
        "nin head=[gap] seed 3: answered the probes",
        "nin head=[gap] seed 0: no probes: RuntimeError: no room",
    ]


def test_without_a_terminal_each_event_is_a_plain_line(clock):
    assert lines_of(STORY) == [
        "tiny, profile full",
        "cells/0.json was quarantined",
        "3 of 4 cells to run (1 done before, 1 to try again, 1 outdated) on 2 × cpu",
        "nin head=[gap] seed 0: started on cpu",
        "nin head=[gap] seed 1: started on cpu",
        "nin head=[gap] seed 0: epoch 1/2, loss 2.303",
        "nin head=[gap] seed 0: epoch 2/2, loss 2.303, validation 50.0%",
        "[1/3, < 1 min left] nin head=[gap] seed 0: trained, test accuracy 90.3%",
        "[1/3, < 1 min left] nin head=[gap] seed 1: crashed: killed by SIGKILL: last words; will be tried again",
        "nin head=[gap] seed 2: started on cpu",
        "[2/3, < 1 min left] nin head=[gap] seed 2: diverged: the training loss became nan at step 3",
        "nin head=[gap] seed 1: started on cpu",
        "[2/3] nin head=[gap] seed 1: interrupted: stopped before its end",
    ]


@pytest.mark.parametrize(("seconds", "told"), [(10, "< 1 min"), (100, "about 3 min"), (7200, "about 4.0 h")])
def test_the_time_left_is_the_pace_so_far_times_what_is_left(clock, seconds, told):
    stream = io.StringIO()
    cells = [PlannedCell(cell(seed), "missing") for seed in range(3)]
    with progress_on(stream, "tiny") as listen:
        listen(Planned(cells, SLOTS, []))
        clock[0] = seconds
        # Two of six epochs took so long; four more take twice as long.
        for event in (CellStarted(cell(0), Slot("cpu")), epoch(0, 1), epoch(0, 2), ended(0, "trained")):
            listen(event)
    assert stream.getvalue().splitlines()[-1].startswith(f"[1/3, {told} left]")


MEASURING: list[Event] = [
    BenchmarkStarted(num_variants=2, num_samples=4),
    SampleEnded("nin head=[gap]", "warm-up", 3),
    SampleEnded("mlp", "warm-up", 1, error="out_of_memory: 1 TB\nmore of it"),
    SampleEnded("nin head=[gap]", "round 1 of 1", 0),
]


def test_a_measuring_tells_its_stages_and_what_failed(clock):
    told = [
        "measuring 2 variants, one process at a time: 4 samples",
        "measuring: warm-up",
        "mlp: measured no further: out_of_memory: 1 TB",
        "measuring: round 1 of 1",
    ]
    assert lines_of(MEASURING) == ["tiny, profile full", *told]
    # Before a run it comes after the plan, and the heading is not said twice.
    assert lines_of([STORY[0], *MEASURING]) == [*lines_of(STORY[:1]), *told]


def test_the_time_that_measuring_takes_is_no_part_of_the_pace(clock):
    stream = io.StringIO()
    with progress_on(stream, "tiny") as listen:
        listen(Planned([PlannedCell(cell(seed), "missing") for seed in range(3)], SLOTS, []))
        clock[0] = 7200
        listen(SampleEnded("nin head=[gap]", "round 5 of 5", 0))
        clock[0] += 100
        for event in (CellStarted(cell(0), Slot("cpu")), epoch(0, 1), epoch(0, 2), ended(0, "trained")):
            listen(event)
    assert stream.getvalue().splitlines()[-1].startswith("[1/3, about 3 min left]")


def test_nothing_is_said_of_the_time_left_before_an_epoch_has_ended(clock):
    story = [*STORY[:2], ended(0, "diverged", "at once")]
    assert lines_of(story)[-1] == "[1/3] nin head=[gap] seed 0: diverged: at once"


RESUMED: list[Event] = [
    Planned([PlannedCell(cell(0, 4), "continue", "interrupted", num_epochs_saved=2)], SLOTS, []),
    CellStarted(cell(0, 4), Slot("cpu")),
    CellResumed(cell(0, 4), is_resumed=True, history=[{}], notes=["checkpoints/0.8.ckpt was quarantined"]),
    EpochEnded(cell(0, 4), {"epoch": 2, "train_loss": 2.0}),
    CellResumed(cell(0, 4), is_resumed=False, history=[], notes=["checkpoints/0.4.ckpt was quarantined"]),
]


def test_a_cell_that_goes_on_says_from_where(clock):
    assert lines_of(RESUMED)[1:] == [
        "1 of 1 cells to run (0 done before, 1 to go on from a checkpoint) on 2 × cpu",
        "nin head=[gap] seed 0: started on cpu",
        "checkpoints/0.8.ckpt was quarantined",
        "nin head=[gap] seed 0: goes on after epoch 1/4",
        "nin head=[gap] seed 0: epoch 2/4, loss 2.000",
        "checkpoints/0.4.ckpt was quarantined",
        "nin head=[gap] seed 0: starts over",
    ]


@pytest.mark.usefixtures("xterm", "clock")
def test_epochs_that_need_no_training_count_as_done_on_a_terminal():
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", on_terminal(100, RESUMED[:4]))
    assert "goes on after epoch 1/4" in plain
    # Two of four epochs were saved, but one of them was lost with its checkpoint, and has been trained again.
    assert "2/4" in plain


def on_terminal(columns: int, events: list[Event]) -> str:
    """What a terminal of so many columns is sent while events are shown."""

    def show(stream: TextIO) -> None:
        with progress_on(stream, "tiny, profile full") as listen:
            for event in events:
                listen(event)

    return sent_to_terminal(columns, show)


def sent_to_terminal(columns: int, show: Callable[[TextIO], None]) -> str:
    """What a terminal of so many columns is sent."""
    fcntl, termios, pty = (pytest.importorskip(name) for name in ("fcntl", "termios", "pty"))
    screen, device = pty.openpty()
    fcntl.ioctl(device, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    sent: list[bytes] = []

    def read() -> None:
        with suppress(OSError):  # as reading ends when nobody has the other side open
            while part := os.read(screen, 65536):
                sent.append(part)

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(device, "w") as stream:
        show(stream)
    reader.join()
    os.close(screen)
    return b"".join(sent).decode()


@pytest.fixture
def xterm(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the surroundings decides how bars are drawn."""
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_INTERACTIVE", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.usefixtures("xterm", "clock")
@pytest.mark.parametrize("columns", [40, 80, 200])
def test_on_a_terminal_there_are_bars(columns):
    shown = on_terminal(columns, STORY)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert "tiny, profile full\r\n" in plain
    assert "nin head=[gap] seed 0: trained, test accuracy 90.3%\r\n" in plain
    assert "━" in plain
    assert "6/6" in plain
    assert "epochs of all c" in plain or columns == 40
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor is shown again"


@pytest.mark.usefixtures("xterm", "clock")
def test_eighty_columns_show_what_tells_variants_apart():
    def variant(pointwise: int) -> Cell:
        label = f"nin_mnist head=gap final_relu=false width=0.25 dropout=0 lr=0.01 pointwise={pointwise}"
        return cell(4).model_copy(update={"label": label, "model": ModelSpec(name=f"m{pointwise}")})

    cells = [variant(pointwise) for pointwise in (0, 1)]
    shown = on_terminal(
        80,
        [
            Planned([PlannedCell(one, "missing") for one in cells], SLOTS, []),
            *(CellStarted(one, Slot("cpu")) for one in cells),
            EpochEnded(cells[1], {"epoch": 1, "train_loss": 2.3026, "validation_accuracy": 0.5}),
        ],
    )
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert re.search(r"50\.0% +seed 4: pointwise=1 ", plain)
    assert re.search(r"seed 4: pointwise=0 ", plain)


def test_labels_lose_what_most_of_them_share_as_long_as_no_two_become_alike():
    assert short_labels(["nin head=gap width=1", "nin head=fc width=1", "vgg width=2"]) == {
        "nin head=gap width=1": "head=gap", "nin head=fc width=1": "head=fc", "vgg width=2": "vgg width=2",
    }  # fmt: skip
    assert short_labels(["a", "a b"]) == {"a": "a", "a b": "a b"}
    assert short_labels(["one of its own"]) == {"one of its own": "one of its own"}


@pytest.mark.usefixtures("xterm")
def test_a_run_with_nothing_to_do_has_no_bar():
    shown = on_terminal(100, [Planned([PlannedCell(cell(0), "done", "trained")], SLOTS, [])])
    assert "0 of 1 cells to run (1 done before) on 2 × cpu" in shown
    assert "━" not in shown


MACHINE = {"device": "cpu", "memory_bytes": 8 * 2**30}
GIB = 2**30


def test_examples_in_the_docstrings_hold():
    assert doctest.testmod(words).failed == 0


@pytest.mark.parametrize(
    ("estimate", "said"),
    [
        (RunEstimate(2, num_cells=9, num_known=9, seconds=600.0, memory_bytes=3 * GIB),
         ["estimate: 10.0 min with 2 workers, together holding up to 3.0 GiB"]),
        (RunEstimate(1, num_cells=9, num_known=4, seconds=30.0, memory_bytes=None),
         ["estimate: 30 s for 4 of 9 cells with 1 worker"]),
        (RunEstimate(2, num_cells=9, num_known=9, seconds=7200.0, memory_bytes=9 * GIB),
         ["estimate: 2.0 h with 2 workers, together holding up to 9.0 GiB",
          "warning: 2 workers may hold 9.0 GiB together, and this machine has 8.0 GiB; give fewer --workers"]),
    ],
)  # fmt: skip
def test_what_a_run_will_take_is_said_when_it_is_known(estimate, said):
    assert lines_of([STORY[0], Estimated({"": estimate}, MACHINE)])[3:] == said


def test_what_a_run_will_take_as_expected_and_at_most():
    known = {"num_workers": 2, "num_known": 9, "memory_bytes": 9 * GIB}
    expected, most = (RunEstimate(num_cells=9, seconds=60.0 * minutes, **known) for minutes in (2, 3))
    assert lines_of([STORY[0], Estimated({"as expected": expected, "at most": most}, MACHINE)])[3:] == [
        "as expected: estimate: 2.0 min with 2 workers, together holding up to 9.0 GiB",
        "at most: estimate: 3.0 min with 2 workers, together holding up to 9.0 GiB",
        "warning: 2 workers may hold 9.0 GiB together, and this machine has 8.0 GiB; give fewer --workers",
    ]


def test_of_nothing_known_nothing_is_said():
    assert estimate_line(RunEstimate(2, num_cells=9, num_known=0, seconds=0.0, memory_bytes=None)) is None


@pytest.mark.parametrize(
    "machine", [{"device": "NVIDIA H100", "memory_bytes": GIB}, {"device": "cpu", "memory_bytes": None}]
)
def test_memory_that_is_not_the_machine_s_or_not_known_is_no_warning(machine):
    estimate = RunEstimate(2, num_cells=9, num_known=9, seconds=60.0, memory_bytes=90 * GIB)
    assert memory_warning(estimate, machine) is None


# Searches

SPEC = SearchSpec(space={"lr": Range(low=0.01, high=1.0, log=True)}, trials=3)
SEARCH = SearchPlanned(SPEC, 3, {"s 1": 2, "s 2": 2}, ["mlp hidden=16", "mlp hidden=32"], SLOTS)


def trial(draw: int, number: int, lr: float = 0.1) -> TrialStarted:
    return TrialStarted(f"s {draw}", "mlp hidden=16", number, {"lr": lr, "init": "normal"}, Slot("cpu"), ())


def trial_epoch(draw: int, epoch: int, value: float) -> TrialEpochEnded:
    return TrialEpochEnded(f"s {draw}", TrialEpoch(epoch, value, []))


def trial_ended(draw: int, *, will_retry: bool = False, **result: Any) -> TrialEnded:
    return TrialEnded(f"s {draw}", TrialResult(**result), will_retry)


def test_each_event_of_a_search_is_a_line(clock):
    failed = [{"failed": True}, {"failed": False}]
    assert lines_of(
        [
            SEARCH,
            trial(1, 1, 0.050236),
            trial_epoch(1, 1, 0.7777),
            trial_ended(1, error="it was killed", will_retry=True),
            trial(1, 2, 0.05),
            trial_epoch(1, 1, 0.7777),
            trial_epoch(1, 2, 0.8),
            trial_ended(1, value=0.8),
            trial(2, 3, 1.0),
            trial_ended(2, value=0.4, runs=failed),
        ]
    ) == [
        "tiny, profile full",
        "2 of 3 trials to run (1 done before) on 2 × cpu",
        "mlp hidden=16 trial 1: started on cpu with lr=0.0502, init=normal",
        "mlp hidden=16 trial 1: epoch 1/2, validation accuracy 77.8%",
        "[0/2, < 1 min left] mlp hidden=16 trial 1: failed: it was killed; will be tried again",
        "mlp hidden=16 trial 2: started on cpu with lr=0.05, init=normal",
        "mlp hidden=16 trial 2: epoch 1/2, validation accuracy 77.8%",
        "mlp hidden=16 trial 2: epoch 2/2, validation accuracy 80.0%",
        "[1/2, < 1 min left] mlp hidden=16 trial 2: validation accuracy 80.0%",
        "mlp hidden=16 trial 3: started on cpu with lr=1, init=normal",
        "[2/2] mlp hidden=16 trial 3: validation accuracy 40.0% (1 of 2 networks failed)",
    ]


def test_a_lost_trial_is_not_done_and_a_pruned_one_is(clock):
    losses = SearchPlanned(
        SPEC.model_copy(update={"objective": "validation_loss"}), 3, SEARCH.epochs, SEARCH.labels, SLOTS
    )
    assert lines_of(
        [
            losses,
            trial(1, 1),
            trial_epoch(1, 1, 1.23456),
            trial_ended(1, pruned=True),
            trial(2, 2),
            trial_ended(2, error="interrupted"),
        ]
    )[3:] == [
        "mlp hidden=16 trial 1: epoch 1/2, validation loss 1.235",
        "[1/2, < 1 min left] mlp hidden=16 trial 1: pruned",
        "mlp hidden=16 trial 2: started on cpu with lr=0.1, init=normal",
        "[1/2] mlp hidden=16 trial 2: failed: interrupted",
    ]


def test_the_time_left_counts_the_epochs_of_trials_still_to_be_done(clock):
    stream = io.StringIO()
    with progress_on(stream, "tiny") as listen:
        listen(SEARCH)
        clock[0] = 600.0
        # Two of four epochs took ten minutes.
        for event in (trial(1, 1), trial_epoch(1, 1, 0.5), trial_epoch(1, 2, 0.5), trial_ended(1, value=0.5)):
            listen(event)
    assert stream.getvalue().splitlines()[-1].startswith("[1/2, about 10 min left] ")


def count(stream: TextIO) -> None:
    with counting_on(stream) as watch:
        for what, total in (("reading pets", 1_500), ("decoding pets/train", 20)):
            for done in range(1, total + 1):
                watch(what, done, total)


def test_what_is_counted_before_a_run_has_a_line_if_it_is_much():
    stream = io.StringIO()
    count(stream)
    assert stream.getvalue() == "reading pets: 1,500 images\n"


@pytest.mark.usefixtures("xterm")
def test_what_is_counted_before_a_run_has_a_bar_on_a_terminal_that_goes():
    shown = sent_to_terminal(80, count)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert "reading pets" in plain
    assert "1500/1500" in plain
    assert "20/20" in plain
    assert shown.rstrip().endswith("\x1b[2K"), "nothing is left of it"
