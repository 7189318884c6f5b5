import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from nin_bench.checkpoint import Checkpoints, check_checkpoint, write_weights
from nin_bench.errors import ResultsError
from nin_bench.files import DamagedFileError
from nin_bench.results import Record
from nin_bench.runner.record import make_record
from tests.cells import make_cell

CELL = make_cell(hidden=16)
STATE: dict[str, Any] = {
    "weights": torch.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last),
    "nested": {"bits": torch.tensor([1.5, -2.5], dtype=torch.bfloat16), "count": torch.tensor(7)},
    "plain": {"losses": [0.1, 0.2], "escape_epoch": None, "num_steps": 20},
}


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints", CELL)


def save(checkpoints: Checkpoints, num_steps: int, state: dict[str, Any] = STATE) -> Path:
    history = [{"epoch": epoch, "train_loss": 1.0} for epoch in range(1, num_steps // 20 + 1)]
    metrics = {"num_steps": num_steps}
    record = make_record(checkpoints.cell, "interrupted", started_at="", metrics=metrics, history=history)
    checkpoints.save(record, state)
    return checkpoints.paths()[0]


def restored(checkpoints: Checkpoints) -> tuple[Any, list[str]]:
    """The state that is handed out, None for none, and what is told."""
    found: list[Any] = []
    notes = checkpoints.restore(found.append)
    assert len(found) <= 1
    return (found or [None])[0], notes


def steps(checkpoints: Checkpoints) -> list[str]:
    return [path.name.split(".")[1] for path in checkpoints.paths()]


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# Saving and going on


def test_a_state_comes_back_as_it_was(checkpoints):
    save(checkpoints, 20)
    state, notes = restored(checkpoints)
    assert notes == []
    assert state["plain"] == STATE["plain"]
    for ours, theirs in [
        (STATE["weights"], state["weights"]),
        (STATE["nested"]["bits"], state["nested"]["bits"]),
        (STATE["nested"]["count"], state["nested"]["count"]),
    ]:
        assert torch.equal(ours, theirs)
        assert (ours.dtype, ours.stride()) == (theirs.dtype, theirs.stride())


def test_without_checkpoints_there_is_nothing_to_go_on_from(checkpoints):
    assert restored(checkpoints) == (None, [])
    assert checkpoints.newest_record() is None
    checkpoints.remove()
    assert not checkpoints.folder.exists()


def test_the_last_two_are_kept_by_step_not_by_name_or_time(checkpoints):
    for num_steps in (9, 100, 20):
        save(checkpoints, num_steps)
    assert steps(checkpoints) == ["100", "20"]
    save(checkpoints, 100, {"plain": "again"})
    assert steps(checkpoints) == ["100", "20"]
    assert restored(checkpoints)[0] == {"plain": "again"}


def test_cells_share_a_folder_without_seeing_each_other(checkpoints):
    other = Checkpoints(checkpoints.folder, make_cell(hidden=16, seed=1))
    save(checkpoints, 20)
    save(other, 40)
    assert (steps(checkpoints), steps(other)) == (["20"], ["40"])
    other.remove()
    assert (steps(checkpoints), steps(other)) == (["20"], [])


def test_the_header_is_the_record_that_the_cell_would_have(checkpoints):
    save(checkpoints, 41)
    record = checkpoints.newest_record()
    assert (record.cell_id, record.outcome) == (CELL.cell_id, "interrupted")
    assert record.cell.as_dict() == CELL.as_dict()
    assert record.metrics.num_steps == 41
    assert [row.epoch for row in record.history] == [1, 2]
    made = make_record(CELL, "interrupted", started_at="", metrics=record.metrics, history=record.history)
    assert record.model_dump() == made.model_copy(update={"attempts": record.attempts}).model_dump()


def test_a_plan_reads_headers_without_waiting_for_torch(checkpoints):
    save(checkpoints, 20)
    program = f"""
import sys
from pathlib import Path
from nin_bench.cell import Cell
from nin_bench.checkpoint import Checkpoints

cell = Cell.model_validate_json('''{CELL.model_dump_json()}''')
assert Checkpoints(Path(sys.argv[1]), cell).newest_record().metrics.num_steps == 20
assert "torch" not in sys.modules
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    subprocess.run([sys.executable, "-c", program, str(checkpoints.folder)], env=environment, check=True)


def test_a_tensor_is_not_copied_on_its_way(checkpoints):
    """What a whole second copy would take is not there."""
    program = """
import resource, sys
from pathlib import Path
import torch
from tests.cells import make_cell
from nin_bench.checkpoint import Checkpoints
from nin_bench.runner.record import make_record

cell = make_cell()
state = {str(number): torch.ones(2_000_000) for number in range(16)}  # 128 MB in all, 8 MB each
record = make_record(cell, "interrupted", started_at="", metrics={"num_steps": 1})
save = Checkpoints(Path(sys.argv[1]), cell).save
save(record, {"0": state["0"]})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
save(record, state)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program, str(checkpoints.folder)],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    grown = int(done.stdout) * (1 if sys.platform == "darwin" else 1024)
    assert grown < 64_000_000


# Damage


def forge(path: Path, header: dict[str, Any], state: bytes) -> None:
    """A checkpoint whose digests are right, whatever else it is."""
    line = json.dumps(header).encode()
    digests = [hashlib.sha256(part).hexdigest().encode() for part in (line, state)]
    path.write_bytes(b"\n".join([*digests, line, state]))


def parts_of(path: Path) -> tuple[dict[str, Any], bytes]:
    _, _, line, state = path.read_bytes().split(b"\n", 3)
    return json.loads(line), state


class Malice:
    """Unpickling it would make a file."""

    def __init__(self, goal: Path) -> None:
        self.goal = goal

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (Path.touch, (self.goal,))


class out_of_memory:  # noqa: N801
    """A class that no checkpoint holds, whose name says "memory"."""


def malicious_state(goal: Path) -> bytes:
    path = goal.with_name("malice.pt")
    torch.save({"trainer": Malice(goal)}, path)
    return path.read_bytes()


def damage(kind: str, path: Path) -> None:
    header, state = parts_of(path)
    content = path.read_bytes()
    if kind == "cut":
        path.write_bytes(content[:-10])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "header":
        path.write_bytes(content.replace(b'"num_steps": 40', b'"num_steps": 41'))
    elif kind == "state":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif kind == "newer":
        forge(path, {**header, "schema": Record.SCHEMA + 1}, state)
    elif kind == "foreign":
        forge(path, {**header, "cell_id": "0" * 16}, state)
    elif kind == "outdated":
        cell = header["cell"]
        forge(path, {**header, "cell": {**cell, "recipe": {**cell["recipe"], "init_std": 0.5}}}, state)
    elif kind == "no record":
        forge(path, {**header, "history": None}, state)
    elif kind == "no mapping":
        forge(path, [1], state)  # type: ignore[arg-type]
    elif kind == "no state":
        forge(path, header, b"not torch's")
    elif kind == "memory":  # torch names the class in its refusal, and memory did not run out
        torch.save({"trainer": out_of_memory()}, path)
        forge(path, header, path.read_bytes())
    elif kind == "malice":
        forge(path, header, malicious_state(path.parent.parent / "made"))
    else:
        path.rename(path.with_name("elsewhere"))
        if kind == "link":
            path.symlink_to("elsewhere")
        else:
            os.mkfifo(path)


REASONS = {
    "cut": "is not whole: its state has another SHA-256",
    "empty": "is not whole: its header has another SHA-256",
    "header": "is not whole: its header has another SHA-256",
    "state": "is not whole: its state has another SHA-256",
    "newer": f"is of schema {Record.SCHEMA + 1}; this version reads {Record.SCHEMA}",
    "foreign": "is the record of another cell, '0000000000000000'",
    "outdated": "is of another experiment: a default has changed since",
    "no record": "is not as a run writes it (history: input should be a valid tuple)",
    "no mapping": "holds a list, not a mapping",
    "no state": "holds no state (UnpicklingError)",
    "malice": "holds no state (UnpicklingError)",
    "memory": "holds no state (UnpicklingError)",
    "link": "is a link, and links are not followed",
    "pipe": "is no regular file",
}


@pytest.mark.parametrize("kind", REASONS)
def test_a_damaged_checkpoint_is_quarantined_and_the_one_before_it_used(checkpoints, kind):
    save(checkpoints, 20, {"step": 20})
    damaged = save(checkpoints, 40, {"step": 40})
    damage(kind, damaged)
    state, notes = restored(checkpoints)
    assert state == {"step": 20}
    assert notes == [f"checkpoints/{damaged.name} {REASONS[kind]}; quarantined as {damaged.name}.corrupt"]
    assert os.path.lexists(damaged.with_name(f"{damaged.name}.corrupt"))
    reason = damaged.with_name(f"{damaged.name}.corrupt.txt").read_text()
    assert reason == f"{damaged.name} {REASONS[kind]}\n"
    assert not (checkpoints.folder.parent / "made").exists()
    assert restored(checkpoints) == ({"step": 20}, [])


def test_when_both_are_damaged_nothing_is_left(checkpoints):
    for num_steps in (20, 40):
        path = save(checkpoints, num_steps)
        path.write_bytes(path.read_bytes()[:200])
    state, notes = restored(checkpoints)
    assert state is None
    assert len(notes) == 2
    assert checkpoints.newest_record() is None


def test_a_state_that_its_user_refuses_is_quarantined_too(checkpoints):
    save(checkpoints, 20, {"step": 20})
    save(checkpoints, 40, {"other": 40})
    used = []

    def use(state: Any) -> None:
        used.append(state["step"])

    (note,) = checkpoints.restore(use)
    assert "cannot be gone on from ('step')" in note
    assert used == [20]


def test_a_checkpoint_is_examined_whoever_s_it_is(checkpoints):
    path = save(checkpoints, 20)
    check_checkpoint(path)
    for kind in ("cut", "newer", "link"):
        path = save(checkpoints, 20)
        damage(kind, path)
        with pytest.raises(DamagedFileError, match=f"^{re.escape(REASONS[kind])}$"):
            check_checkpoint(path)
        path.unlink()
    named_wrongly = save(checkpoints, 20).rename(checkpoints.folder / "another.20.ckpt")
    with pytest.raises(DamagedFileError, match="is the record of another cell"):
        check_checkpoint(named_wrongly)


def test_a_header_is_read_past_a_damaged_one(checkpoints):
    save(checkpoints, 20)
    damage("header", save(checkpoints, 40))
    assert checkpoints.newest_record().metrics.num_steps == 20
    assert steps(checkpoints) == ["40", "20"], "a plan changes nothing"


# What the system refuses


def test_a_full_disk_is_told_with_file_and_size_and_costs_no_checkpoint(checkpoints):
    save(checkpoints, 20)
    before = names_in(checkpoints.folder)
    program = """
import resource, sys
from pathlib import Path
import torch
from tests.cells import make_cell
from nin_bench.checkpoint import Checkpoints
from nin_bench.errors import ResultsError
from nin_bench.runner.record import make_record

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
cell = make_cell(hidden=16)
record = make_record(cell, "interrupted", started_at="", metrics={"num_steps": 40})
try:
    Checkpoints(Path(sys.argv[1]), cell).save(record, {"weights": torch.ones(1_000_000)})
except ResultsError as error:
    print(error)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program, str(checkpoints.folder)],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    path = checkpoints.folder / f"{CELL.cell_id}.40.ckpt"
    told, _, rest = done.stdout.partition(" bytes could not be written: ")
    assert told.startswith(f"{path}: 400")
    assert rest == "File too large; make space or mend the permissions, then run the same command again\n"
    assert names_in(checkpoints.folder) == before
    assert restored(checkpoints)[0]["plain"] == STATE["plain"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "checkpoints").write_text("a file where a folder should be")
    with pytest.raises(ResultsError, match=r"\.20\.ckpt: \d+ bytes could not be written: "):
        save(Checkpoints(tmp_path / "checkpoints", CELL), 20)


# Weights that are kept


def test_kept_weights_are_a_plain_state_dict(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    path = tmp_path / "weights" / "cell.pt"
    write_weights(path, model.state_dict())
    found = torch.load(path, weights_only=True)
    assert list(found) == list(model.state_dict())
    assert all(torch.equal(found[name], tensor) for name, tensor in model.state_dict().items())
    assert names_in(path.parent) == {"cell.pt"}
