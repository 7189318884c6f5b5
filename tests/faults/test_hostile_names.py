"""Names that climb, steer terminals or do not fit; files that are not what they seem.

Each is met by every command that it could take in, and beside the results lies a victim that must stay as it is.
"""

import json
import os
import pickle
import re
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nin_bench import cli
from nin_bench.doctor import examine
from nin_bench.files import DamagedFileError
from tests.faults.scale import WHOLE
from tests.faults.stubs import Stub

Count = Callable[[str, int], None]
Call = Callable[..., tuple[int, str]]


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Somebody else's folder, beside the results; it must come out of every test as it went in."""
    made = tmp_path / "victim"
    made.mkdir()
    (made / "kept.json").write_text("kept")
    (made / f".x.{'0' * 32}.tmp").write_text("kept")
    return made


@pytest.fixture
def stub(tmp_path: Path, victim: Path) -> Any:
    made = Stub(tmp_path, seeds=2)
    made.write_all()
    yield made
    assert sorted((path.name, path.read_text()) for path in victim.iterdir()) == [
        (f".x.{'0' * 32}.tmp", "kept"), ("kept.json", "kept"),
    ]  # fmt: skip


@pytest.fixture
def call(tmp_path, monkeypatch, capsys) -> Call:
    """Runs a command in this process, and gives its status and all that it printed, which steers no terminal."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        captured = capsys.readouterr()
        told = captured.out + captured.err
        assert "Traceback" not in told
        assert not {"\x1b", "\x07", "\x9b", "\u202e", "\r"} & set(told)
        return int(ended.value.code or 0), told

    return call


# Names in grids

GRID_NAMES = {
    "that climbs": "../up", "that is absolute": "/etc/passwd", "with a separator": "a/b", "of dots": "..",
    "that is empty": "''", "with a NUL": '"a\\0b"', "with a line break": '"a\\nb"', "with an escape": '"\\e[31m"',
    "of an emoji": "🧪", "of 300 letters": "n" * 300, "from right to left": '"\\u202Eabc"',
    "that hides": ".git",
}  # fmt: skip


@pytest.mark.parametrize("what", GRID_NAMES)
def test_a_grid_of_a_name_that_is_no_folders_is_refused(stub, call, faults: Count, what):
    text = stub.path.read_text()
    for old, new in (
        ("name: tiny", f"name: {GRID_NAMES[what]}"),
        ("models:", f"profiles: {{{GRID_NAMES[what]}: {{}}}}\nmodels:"),
    ):
        stub.path.write_text(text.replace(old, new))
        before = set(Path().rglob("*"))
        status, told = call("run", "--grid", "grid.yaml", "--device", "cpu")
        assert status == 2
        assert told.startswith("grid.yaml:")
        assert len(told.splitlines()) == 1
        assert set(Path().rglob("*")) == before
    faults("malicious names", 1)


SAYINGS = {
    "an escape": '"\\e]0;owned\\a two beat one"', "a line break": '"two\\nbeat\\r\\none"',
    "right-to-left": '"\\u202Etwo beat one"', "markup": "'<script>alert(1)</script> [x](javascript:y) |a|'",
    "an emoji": "👩\u200d🔬 two beat one", "300 words": " ".join(["two"] * 300),
}  # fmt: skip


def test_hypotheses_may_say_anything_and_steer_nothing(tmp_path, call, faults: Count):
    made = Stub(tmp_path, seeds=2)
    claim = "metric: test_accuracy, compare: [{hidden: 16}, {hidden: 8}], expect: greater"
    hypotheses = "".join(
        f"- {{id: h{number}, says: {said}, {claim}, margin: 0.0{number}}}\n"
        for number, said in enumerate(SAYINGS.values())
    )
    made.path.write_text(f"{made.path.read_text()}hypotheses:\n{hypotheses}")
    made.load()
    made.write_all()
    assert call("status", "results/tiny/full")[0] == 0
    assert call("plan", "--grid", "grid.yaml")[0] == 0
    assert call("report", "results/tiny/full", "--out", "page")[0] == 0
    page = Path("page/report.md").read_text()
    assert not {"\x1b", "\x07", "\u202e", "\r"} & set(page)
    assert "<script" not in page
    assert not re.search(r"(?<!\\)\]\(javascript", page)
    faults("malicious names", len(SAYINGS))


# Names in grid.json and on the command line

LABELS = {
    "an escape": "mlp\x1b[2J\x07", "a line break": "mlp\nmlp  seed 0  trained",
    "right-to-left": "mlp\u202e61=neddih", "half a character": "mlp\ud800", "ten thousand letters": "m" * 10_000,
}  # fmt: skip


@pytest.mark.parametrize("what", LABELS)
def test_a_label_in_a_stored_grid_steers_no_terminal(stub, call, faults: Count, what):
    stored = json.loads(stub.folder.grid_path.read_text())
    del stored["digest"]
    for entry in (*stored["cells"], *stored["variants"]):
        entry["label"] = LABELS[what]
    stub.folder.grid_path.write_text(json.dumps(stored))
    status, told = call("status", "results/tiny/full", "--cells")
    assert status == (2 if what == "half a character" else 0)
    if status == 0:
        assert len(told.splitlines()) == 2 + len(stored["cells"])
    if WHOLE:
        assert call("report", "results/tiny/full", "--out", "page")[0] == status
    faults("malicious names", 1)


@pytest.mark.parametrize(
    "name", ["../../../victim/kept", "/etc/passwd", "a\x00b", "", "x" * 300, "..", "a\\..\\b"]
)
def test_an_id_in_a_stored_grid_leads_nowhere(stub, call, faults: Count, name):
    for part in ("cell_id", "variant_id"):
        stored = json.loads(stub.folder.grid_path.read_text())
        del stored["digest"]
        stored["cells"][0][part] = name
        stored["variants"][0]["variant_id"] = stored["cells"][0]["variant_id"]
        stub.folder.grid_path.write_text(json.dumps(stored))
        for command in ("status", "report"):
            status, told = call(command, "results/tiny/full")
            assert status == 2
            assert f"{part}: string should match pattern" in told
        assert call("plan", "--grid", "grid.yaml")[0] == 2
        assert call("doctor", "results/tiny/full")[0] == 1
        stub.write_all()
    faults("malicious names", 1)


# Files


def replace(path: Path, make: Callable[[Path], None]) -> None:
    path.unlink()
    make(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.relpath(path))


def a_pickle(path: Path) -> None:
    class Planted:
        def __reduce__(self) -> tuple[Any, ...]:
            return os._exit, (86,)

    path.write_bytes(pickle.dumps(Planted()))


def an_archive_with_a_pickle(path: Path) -> None:
    with path.open("wb") as stream:
        np.savez(stream, label=np.array([print], dtype=object))


def an_archive_that_climbs(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../../../victim/kept.json", "owned")


def a_bomb(path: Path) -> None:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("label.npy", "w", force_zip64=True) as member,
    ):
        for _ in range(300):
            member.write(bytes(2**20))


FILES: dict[str, Callable[[Path], None]] = {
    "a link to somebody's file": lambda path: path.symlink_to("../../../../victim/kept.json"),
    "a link to nowhere": lambda path: path.symlink_to("absent"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a pipe": os.mkfifo,
    "a socket": a_socket,
    "a folder": Path.mkdir,
    "a pickle": a_pickle,
    "an archive with a pickle": an_archive_with_a_pickle,
    "an archive whose member climbs": an_archive_that_climbs,
    "an archive that unpacks without end": a_bomb,
}


@pytest.mark.parametrize("what", FILES)
def test_a_file_that_is_not_what_it_seems_is_neither_opened_nor_followed(stub, call, faults: Count, what):
    first = stub.ids[0]
    record, predictions = stub.folder.record_path(first), stub.folder.predictions_path(first)
    replace(record, FILES[what])
    replace(predictions, FILES[what])
    for read in (stub.folder.read_record, stub.folder.read_predictions):
        with pytest.raises(DamagedFileError):
            read(first)
    status, told = call("status", "results/tiny/full")
    assert status == 0
    assert "1 missing" in told
    assert f"cells/{first}.json was left out: it is " in told
    assert call("plan", "--grid", "grid.yaml")[0] == 0
    assert [finding.state for finding in examine(stub.folder.path)] == ["repaired"] * 2
    assert os.path.lexists(record.with_name(f"{record.name}.corrupt"))
    replace(stub.folder.grid_path, FILES[what])
    for command in ("status", "report"):
        status, told = call(command, "results/tiny/full")
        assert status == 2
        assert "grid.json" in told
    assert call("doctor", "results/tiny/full")[0] == 1
    faults("malicious files", 1)


def test_a_link_is_not_followed_even_to_a_whole_file(stub, call, tmp_path, faults: Count):
    first = stub.ids[0]
    record, predictions = stub.folder.record_path(first), stub.folder.predictions_path(first)
    for path in (record, predictions):
        path.symlink_to(path.rename(tmp_path / path.name))
    for read in (stub.folder.read_record, stub.folder.read_predictions):
        with pytest.raises(DamagedFileError, match="is a link, and links are not followed"):
            read(first)
    stub.folder.grid_path.symlink_to(stub.folder.grid_path.rename(tmp_path / "elsewhere.json"))
    for command in ("status", "report"):
        status, told = call(command, "results/tiny/full")
        assert status == 2
        assert "grid.json is a link" in told
    faults("malicious files", 3)


@pytest.mark.parametrize("part", ["cells", "predictions", "costs", "checkpoints", "studies", "report"])
def test_a_folder_that_is_a_link_is_not_entered(stub, call, victim, faults: Count, part):
    path = stub.folder.path / part
    if path.exists():
        path.rename(stub.folder.path / f"{part}.before")
    path.symlink_to(victim)
    for command in (["status"], ["report"], ["doctor"]):
        status, told = call(*command, "results/tiny/full")
        assert status == (1 if command == ["doctor"] else 2)
        assert f"{part}: is a link" in told
    for command in ("plan", "run"):
        status, told = call(command, "--grid", "grid.yaml", "--device", "cpu")
        assert status == 2
        assert f"{part}: is a link" in told
    faults("malicious files", 1)


@pytest.mark.parametrize("name", [".lock", ".lock-holder"])
def test_a_lock_that_is_a_link_is_not_written_through(stub, call, victim, faults: Count, name):
    path = stub.folder.path / name
    path.unlink(missing_ok=True)
    path.symlink_to(victim / "kept.json")
    call("doctor", "results/tiny/full")
    assert call("status", "results/tiny/full")[0] == 0
    faults("malicious files", 1)
