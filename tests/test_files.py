import errno
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nin_bench.errors import ResultsError
from nin_bench.files import (
    DamagedFileError,
    atomic_stream,
    quarantine,
    read_json,
    read_regular,
    remove_file,
    temporary_files,
    to_json,
    write_atomically,
    write_json,
)
from nin_bench.results.folder_lock import lock_holder, sole_writer


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Writing


def test_a_file_is_written_with_the_folders_above_it(tmp_path):
    path = tmp_path / "results" / "grid" / "record.json"
    write_atomically(path, "ä")
    assert path.read_bytes() == b"\xc3\xa4"
    write_atomically(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert names_in(path.parent) == ["record.json"]


def test_a_file_has_the_permissions_that_the_user_gives_new_files(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", "")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_a_write_that_breaks_off_leaves_the_old_content_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    write_atomically(path, "old")

    def break_off(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", break_off)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["record.json"]


@pytest.mark.parametrize("refusal", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_that_cannot_sync_folders_is_good_enough(tmp_path, monkeypatch, refusal):
    sync = os.fsync

    def sync_files(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(refusal, os.strerror(refusal))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", sync_files)
    write_atomically(tmp_path / "record.json", "new")
    assert (tmp_path / "record.json").read_text() == "new"
    assert names_in(tmp_path) == ["record.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size")
def test_a_full_disk_is_told_with_the_file_and_its_size(tmp_path):
    path = tmp_path / "record.json"
    path.write_text("old")
    program = """
import resource, sys
from pathlib import Path
from nin_bench.errors import ResultsError
from nin_bench.files import write_atomically

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomically(Path(sys.argv[1]), b"x" * 5000)
except ResultsError as error:
    print(error)
"""
    done = run_python(program, str(path))
    assert done.stdout == (
        f"{path}: 5000 bytes could not be written: File too large; make space or mend the permissions, then run "
        "the same command again\n"
    )
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["record.json"]


def test_a_link_in_a_files_place_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_text("kept")
    (tmp_path / "record.json").symlink_to("elsewhere")
    write_atomically(tmp_path / "record.json", "new")
    assert not (tmp_path / "record.json").is_symlink()
    assert (tmp_path / "elsewhere").read_text() == "kept"


def test_what_a_killed_writer_leaves_is_known_by_its_name(tmp_path):
    program = """
import os, signal, sys
from pathlib import Path
from nin_bench.files import write_atomically

os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
write_atomically(Path(sys.argv[1]), "new")
"""
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path / "record.json")], env=environment())
    assert killed.returncode == -signal.SIGKILL
    (left,) = names_in(tmp_path)
    for name in (".hidden", "record.json", ".record.json.tmp", "notes.tmp"):
        (tmp_path / name).touch()
    assert [path.name for path in temporary_files(tmp_path)] == [left]
    assert temporary_files(tmp_path / "absent") == []


def test_a_file_in_the_folders_place_is_told(tmp_path):
    (tmp_path / "results").write_text("")
    with pytest.raises(
        ResultsError,
        match=r"results/grid\.json: 3 bytes could not be written: (Not a dir|File ex).*; move away what stands",
    ):
        write_atomically(tmp_path / "results" / "grid.json", "{}\n")
    (tmp_path / "folder").mkdir()
    refusal = r"folder: 0 bytes could not be written: Is a directory; move away what stands in its place"
    with pytest.raises(ResultsError, match=refusal):
        write_atomically(tmp_path / "folder", "")


def test_a_stream_takes_its_place_only_when_all_is_written(tmp_path):
    path = tmp_path / "weights.pt"
    with atomic_stream(path, 6) as stream:
        stream.write(b"abcdef")
        stream.seek(0)
        stream.write(b"AB")
        stream.flush()
        assert not path.exists()
    assert path.read_bytes() == b"ABcdef"
    with pytest.raises(ResultsError, match=r"weights\.pt: 6 bytes could not be written: No space"):  # noqa: SIM117
        with atomic_stream(path, 6):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert path.read_bytes() == b"ABcdef"
    assert names_in(tmp_path) == ["weights.pt"]


def test_a_file_is_removed_if_it_is_there(tmp_path):
    path = tmp_path / "file"
    path.touch()
    for _ in range(2):
        remove_file(path)
        assert names_in(tmp_path) == []
    path.mkdir()
    with pytest.raises(ResultsError, match=r"file: cannot be removed: (Is a dir|Operation not perm)"):
        remove_file(path)


# JSON


def test_json_is_strict_readable_and_never_rounded():
    assert to_json({"accuracy": 0.1 + 0.2, "loss": None, "label": "1×1"}) == (
        '{\n "accuracy": 0.30000000000000004,\n "loss": null,\n "label": "1×1"\n}\n'
    )
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            to_json({"loss": value, "history": []})
        with pytest.raises(ValueError, match="not JSON compliant"):
            to_json({"history": [[0.1, value]]})


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
KEYS = st.text() | st.integers() | st.booleans() | st.none()


@given(
    st.recursive(
        LEAVES,
        lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner),
        max_leaves=12,
    )
)
def test_json_is_what_an_indent_of_one_gives(value):
    assert to_json(value) == json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def test_json_comes_back(tmp_path):
    path = tmp_path / "record.json"
    content = {"loss": 0.1, "label": "1×1 \x1b", "rows": [{"epoch": 1}, None], "step": -(2**63)}
    write_json(path, content, 1)
    assert read_json(path, 1) == content


def test_json_without_a_digest_is_read(tmp_path):
    path = tmp_path / "record.json"
    write_atomically(path, to_json({"schema": 1, "loss": 0.1}))
    assert read_json(path, 1) == {"loss": 0.1}


@pytest.mark.parametrize(("old", "new"), [("0.25", "0.24"), ("two", "tvo"), ('"b"', '"c"')])
def test_json_that_was_changed_since_is_damaged(tmp_path, old, new):
    path = tmp_path / "record.json"
    write_json(path, {"loss": 0.25, "label": "two", "b": None}, 1)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(
        DamagedFileError, match=r"^was changed after it was written: its content has another digest$"
    ):
        read_json(path, 1)


def test_json_may_be_written_another_way_as_long_as_it_says_the_same(tmp_path):
    path = tmp_path / "record.json"
    write_json(path, {"loss": 0.25, "rows": [1, 2]}, 1)
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
    assert read_json(path, 1) == {"loss": 0.25, "rows": [1, 2]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", r"is not whole JSON \(Expecting value"),
        (b'{"schema": 1, "metr', r"is not whole JSON \(Unterminated string"),
        (b'{"schema": 1}\x00\x00', r"is not whole JSON \(Extra data"),
        (b"\xff\xfe\xff", r"is not whole JSON \("),
        (b"[" * 200_000, r"is not whole JSON \("),
        (b'{"schema": 1, "loss": NaN}', r"is not whole JSON \(NaN is none of its values\)"),
        (b'{"schema": 1, "step": ' + b"9" * 5_000 + b"}", r"is not whole JSON \("),
        (b"[1]", "holds a list, not a mapping"),
        (b'{"schema": 1, "loss": 1e999}', "holds a number that is not finite"),
        (b'{"schema": 1, "step": 9223372036854775808}', "holds a whole number of more than 64 bits"),
        (b'{"schema": 1, "label": "\\ud800"}', "holds half a character"),
        (b'{"schema": 1, "\\udfff": 1}', "holds half a character"),
        (b'{"schema": 1, "label": "\xed\xa0\x80"}', r"is not whole JSON \("),
        ('{"schema": 1}'.encode("utf-16"), r"is not whole JSON \("),
        (b'\xef\xbb\xbf{"schema": 1}', r"is not whole JSON \("),
        (b'{"schema": ' + b"[" * 16 + b"]" * 16 + b"}", "is nested more than 16 deep"),
        (b'{"schema": ' + b"[" * 15 + b"]" * 15 + b"}", "is of schema a list; this version reads 1"),
        (b'{"schema": 1, "digest": 7}', "was changed after it was written"),
        (b"{}", "is of schema null; this version reads 1"),
        (b'{"schema": 2}', "is of schema 2; this version reads 1"),
    ],
)
def test_a_damaged_file_is_told_with_its_reason(tmp_path, content, reason):
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=f"^{reason}"):
        read_json(path, 1)


def test_a_whole_file_of_a_newer_version_is_no_damaged_one(tmp_path):
    path = tmp_path / "record.json"
    write_json(path, {"loss": 0.5}, 2)
    with pytest.raises(
        ResultsError, match=r"record\.json: is of schema 2; this version reads 1; a newer .* update"
    ):
        read_json(path, 1)
    path.write_text(path.read_text().replace("0.5", "0.6"))
    with pytest.raises(DamagedFileError, match="is of schema 2; this version reads 1"):
        read_json(path, 1)


def test_a_file_that_cannot_be_read_is_no_damaged_one(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "absent.json", 1)
    with pytest.raises(ResultsError, match=r"cannot be read: File name too long; mend or move it$"):
        read_json(tmp_path / f"{'x' * 300}.json", 1)


def make_link(path: Path) -> None:
    path.with_name("whole.json").write_text('{"schema": 1}')
    path.symlink_to("whole.json")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (make_link, "is a link, and links are not followed"),
        (lambda path: path.symlink_to("absent"), "is a link, and links are not followed"),
        (os.mkfifo, "is no regular file"),
        (make_socket, "is no regular file"),
        (Path.mkdir, "is no regular file"),
    ],
    ids=["link", "dangling link", "pipe", "socket", "folder"],
)
def test_only_regular_files_are_opened(tmp_path, monkeypatch, make, reason):
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    make(Path("record.json"))
    with pytest.raises(DamagedFileError, match=f"^{reason}$"):
        read_json(Path("record.json"), 1)


def test_a_file_is_read_up_to_a_limit(tmp_path):
    path = tmp_path / "record.json"
    path.write_bytes(b"x" * 1000)
    assert read_regular(path, 1000) == b"x" * 1000
    with pytest.raises(DamagedFileError, match=r"^is longer than 999 bytes$"):
        read_regular(path, 999)
    os.truncate(path, 2**40)  # a terabyte of nothing
    with pytest.raises(DamagedFileError, match=r"^is longer than 16,777,216 bytes$"):
        read_json(path, 1)


def test_damaged_files_are_kept_under_numbered_names_with_their_reasons(tmp_path):
    path = tmp_path / "record.json"
    for number in range(3):
        path.write_text(str(number))
        quarantine(path, f"is number {number}")
    assert {kept.name: kept.read_text() for kept in tmp_path.iterdir()} == {
        "record.json.corrupt": "0", "record.json.corrupt.txt": "record.json is number 0\n",
        "record.json.corrupt2": "1", "record.json.corrupt2.txt": "record.json is number 1\n",
        "record.json.corrupt3": "2", "record.json.corrupt3.txt": "record.json is number 2\n",
    }  # fmt: skip


# One writer


HOLD = """
import sys
from pathlib import Path
from nin_bench.results.folder_lock import sole_writer

with sole_writer(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the folder until it is told to end."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "folder")],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_writer_is_refused_and_told_of_the_first(tmp_path, holder):
    refusal = rf"folder: in use by process {holder.pid}; wait until it ends, or choose another --results$"
    with pytest.raises(ResultsError, match=refusal), sole_writer(tmp_path / "folder"):
        pass
    holder.communicate("")
    with sole_writer(tmp_path / "folder"):
        pass


def test_a_writer_that_is_killed_holds_nothing(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert lock_holder(tmp_path / "folder") is None
    with sole_writer(tmp_path / "folder"):
        pass


def test_who_holds_a_folder_can_be_seen_without_touching_it(tmp_path, holder):
    folder = tmp_path / "folder"
    before = names_in(folder)
    assert lock_holder(folder) == f"process {holder.pid}"
    (folder / ".lock-holder").write_text("\x1b]0;a title\x07")
    assert lock_holder(folder) == "another process"
    (folder / ".lock-holder").unlink()
    assert lock_holder(folder) == "another process"
    assert names_in(folder) == [name for name in before if name != ".lock-holder"]
    holder.communicate("")
    assert lock_holder(folder) is None
    assert lock_holder(tmp_path) is None
    assert names_in(tmp_path) == ["folder"]


@pytest.mark.parametrize("name", [".lock", ".lock-holder"])
def test_a_lock_is_not_written_through_a_link(tmp_path, name):
    (tmp_path / "victim").write_text("kept")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / name).symlink_to(tmp_path / "victim")
    with suppress(ResultsError), sole_writer(tmp_path / "folder"):
        assert name == ".lock-holder"
    assert lock_holder(tmp_path / "folder") is None
    assert (tmp_path / "victim").read_text() == "kept"


def test_the_lock_is_released_when_its_holder_fails(tmp_path):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), sole_writer(tmp_path):
            raise ZeroDivisionError


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "results").write_text("")
    refusal = r"results/grid: cannot be written: (Not a directory|File exists); move away what stands in its place"
    with pytest.raises(ResultsError, match=refusal), sole_writer(tmp_path / "results" / "grid"):
        pass


@pytest.mark.parametrize("name", [".lock", ".lock-holder"])
def test_a_folder_in_the_locks_place_is_named(tmp_path, name):
    (tmp_path / name).mkdir()
    refusal = rf"/{re.escape(name)}: cannot be written: Is a directory; move away what stands in its place"
    with pytest.raises(ResultsError, match=refusal), sole_writer(tmp_path):
        pass


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}


def run_python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], env=environment(), capture_output=True, text=True, check=True
    )
