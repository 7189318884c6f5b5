"""A results folder through thousands of random steps: claimed, written, killed while it is, damaged, repaired."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from nin_bench.doctor import examine
from nin_bench.errors import ResultsError
from nin_bench.files import DamagedFileError
from nin_bench.results import load_results
from nin_bench.results.folder_lock import lock_holder
from nin_bench.results.predictions import pack_predictions
from tests.faults.damage import cuts, flips
from tests.faults.scale import FAULTS, WHOLE, Count, scaled
from tests.faults.stubs import Stub, result_of

ROOT = Path(__file__).parents[2]
CELLS = st.integers(0, 7)
NUM_LINES = 40
"""More lines of code than writing a record and its predictions takes."""


class Writer:
    """The other end of writer.py."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("writer.py"))],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, command: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        return self.hear()

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        self.process.communicate()


@pytest.fixture(scope="module")
def writer() -> Iterator[Writer]:
    made = Writer()
    yield made
    made.end()


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Stub:
    """A grid, and beside its results what will be written of each cell."""
    made = Stub(tmp_path_factory.mktemp("machine"))
    prepared = made.folder.path.parent / "prepared"
    prepared.mkdir(parents=True)
    for cell in made.grid.cells:
        record, predictions = result_of(cell)
        record.write(prepared / f"{cell.cell_id}.json")
        (prepared / f"{cell.cell_id}.npz").write_bytes(pack_predictions(predictions, cell.cell_id))
    return made


def make_machine(stub: Stub, writer: Writer, counts: dict[str, int]) -> type[RuleBasedStateMachine]:
    folder = stub.folder

    class Machine(RuleBasedStateMachine):
        """Beside the folder stands what must be in it: the version of every cell's record, None without one."""

        @initialize()
        def begin(self) -> None:
            shutil.rmtree(folder.path, ignore_errors=True)
            folder.check_writable()  # as every run does first
            folder.write_grid(stub.grid.resolved("cpu"))
            self.holder: int | None = None
            self.killed = False
            self.version = 0
            self.versions: dict[str, int | None] = dict.fromkeys(stub.ids)
            self.damaged: set[Path] = set()
            self.spoiled: set[str] = set()
            """Cells whose predictions may not be those of their record."""

        def teardown(self) -> None:
            if getattr(self, "holder", None):
                assert writer.ask("release") == "ended 0"

        def count(self, kind: str) -> None:
            counts[kind] = counts.get(kind, 0) + 1

        @precondition(lambda self: self.holder is None)
        @rule(by_others_too=st.booleans())
        def claim(self, by_others_too: bool) -> None:
            self.count("claimed")
            answer, pid = writer.ask(f"claim {folder.path}").split()
            assert answer == "session"
            self.holder, self.killed = int(pid), False
            if by_others_too:
                self.count("claimed by a second process")
                with pytest.raises(ResultsError, match=f"in use by process {pid}; "):
                    examine(folder.path)

        @rule(cell=CELLS)
        def finish(self, cell: int) -> None:
            self.count("finished")
            self.claim_if_free()
            cell_id = stub.ids[cell]
            self.version += 1
            assert writer.ask(f"finish {cell_id} {self.version}") == "done"
            self.written(cell_id)

        @precondition(lambda self: self.holder is not None)
        @rule()
        def release(self) -> None:
            self.count("released")
            assert writer.ask("release") == "ended 0"
            self.holder = None

        @precondition(lambda self: self.holder is not None)
        @rule()
        def kill_at_rest(self) -> None:
            self.count("killed at rest")
            assert self.holder is not None
            os.kill(self.holder, signal.SIGKILL)
            assert writer.hear() == "ended -9"
            self.holder, self.killed = None, True

        @rule(cell=CELLS, number=st.integers(1, NUM_LINES))
        def kill_while_it_writes(self, cell: int, number: int) -> None:
            self.claim_if_free()
            cell_id = stub.ids[cell]
            self.version += 1
            answer = writer.ask(f"die {number} {cell_id} {self.version}")
            if answer == "done":
                self.written(cell_id)  # it was through before its time
                self.kill_at_rest()
                return
            self.count("killed while it wrote")
            assert answer == "ended -9"
            self.holder, self.killed = None, True
            with suppress(DamagedFileError):  # as it may have been before
                record = folder.read_record(cell_id)
                if record is not None and record.metrics.num_steps == self.version:
                    self.written(cell_id)
                elif folder.predictions_path(cell_id) in self.damaged:
                    with suppress(DamagedFileError):  # new predictions, and the old record
                        folder.read_predictions(cell_id)
                        self.damaged.discard(folder.predictions_path(cell_id))

        @precondition(lambda self: self.holder is None)
        @rule(cell=CELLS, of=st.sampled_from(["record", "predictions"]), how=st.integers(0, 15))
        def damage(self, cell: int, of: str, how: int) -> None:
            path = (folder.record_path if of == "record" else folder.predictions_path)(stub.ids[cell])
            if not path.exists() or path in self.damaged:
                return
            whole = path.read_bytes()
            path.write_bytes([*list(cuts(whole, 9))[:-1], *flips(whole, 7), b""][how])
            try:
                (folder.read_record if of == "record" else folder.read_predictions)(stub.ids[cell])
            except DamagedFileError:
                self.count("damaged")
                self.damaged.add(path)
            else:
                path.write_bytes(whole)  # a bit that says nothing

        @precondition(lambda self: self.holder is None)
        @rule()
        def repair(self) -> None:
            self.count("repaired")
            found = {finding.file: finding for finding in examine(folder.path)}
            assert all(finding.state in ("repaired", "noted") for finding in found.values())
            assert (".lock-holder" in found) == self.killed
            assert {path.relative_to(folder.path).as_posix() for path in self.damaged} <= set(found)
            for cell_id in stub.ids:
                if folder.record_path(cell_id) in self.damaged:
                    self.versions[cell_id] = None
            self.damaged, self.killed = set(), False
            assert not [finding for finding in examine(folder.path) if finding.state != "noted"]
            assert not list(folder.path.rglob(".*.tmp"))
            aside = [path for path in folder.path.rglob("*.corrupt*") if path.suffix != ".txt"]
            assert all(path.with_name(f"{path.name}.txt").read_text().startswith(path.name[:16]) for path in aside)

        def claim_if_free(self) -> None:
            if self.holder is None:
                self.claim(by_others_too=False)

        def written(self, cell_id: str) -> None:
            self.versions[cell_id] = self.version
            self.damaged -= {folder.record_path(cell_id), folder.predictions_path(cell_id)}

        @invariant()
        def what_was_acknowledged_is_there(self) -> None:
            if not hasattr(self, "versions"):
                return
            counts["steps"] = counts.get("steps", 0) + 1
            holder = lock_holder(folder.path)
            assert holder == (None if self.holder is None else f"process {self.holder}")
            expected = []
            for cell_id, version in self.versions.items():
                damaged = folder.record_path(cell_id) in self.damaged
                expected.append("missing" if damaged or version is None else "trained")
                if version is not None and not damaged:
                    record: Any = folder.read_record(cell_id)
                    assert record.metrics.num_steps == version
            results = load_results(folder.path)
            assert results.cells["outcome"].tolist() == expected
            told = [path for path in self.damaged if path.suffix == ".json"]
            assert len(results.left_out) == len(told)

    return Machine


def test_no_acknowledged_record_is_lost_torn_or_doubled(stub, writer, faults: Count, inputs: Count):
    counts: dict[str, int] = {}
    wanted = scaled(100, 2000)
    while counts.get("steps", 0) < wanted:
        run_state_machine_as_test(
            make_machine(stub, writer, counts),
            settings=settings(
                max_examples=scaled(6, 60),
                stateful_step_count=scaled(20, 50),
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    if WHOLE:
        assert {"killed while it wrote", "killed at rest", "damaged", "repaired", "finished"} <= set(counts)
    inputs("results folder, random steps", counts.pop("steps"))
    for kind in sorted(FAULTS & counts.keys()):
        faults(f"results folder, random steps: {kind}", counts[kind])
