import errno
import fcntl
import os
import sqlite3
from pathlib import Path

import optuna
import pytest
from sqlalchemy import text

from nin_bench.errors import ResultsError
from nin_bench.search.storage import open_storage, own_storage_url, storage_errors_told, storage_kind


def test_the_folder_s_own_storage_is_sqlite_with_a_rollback_journal_and_full_synchronisation(tmp_path: Path):
    url = own_storage_url(tmp_path / "a folder, 100% odd?")
    (tmp_path / "a folder, 100% odd?").mkdir()
    storage = open_storage(url)
    optuna.create_study(storage=storage, study_name="one")
    path = tmp_path / "a folder, 100% odd?" / "studies.db"
    assert path.is_file()
    with storage._backend.engine.connect() as connection:  # type: ignore[attr-defined]
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "delete"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL
        assert connection.execute(text("PRAGMA busy_timeout")).scalar() == 60_000
    assert optuna.get_all_study_names(open_storage(url)) == ["one"]


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("sqlite:///studies.db", "sqlite"),
        ("postgresql://me@host/studies", "postgresql"),
        ("postgresql+psycopg://me:secret@host:5432/studies?sslmode=require", "postgresql"),
        ("mysql+pymysql://me@host/studies", "mysql"),
    ],
)
def test_the_kind_is_all_that_is_kept_of_an_address(url, kind):
    assert storage_kind(url) == kind


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("studies.db", "--storage: no address of a storage; give one as postgresql://user@host/database or sqlite:///"),
        ("", "--storage: no address of a storage; "),
        ("redis://me:secret@localhost/0", "redis://localhost/0: the storage failed: Can't load plugin"),
        ("postgresql+pg8000://me:secret@localhost/x", "postgresql+pg8000://localhost/x: its driver is not"),
        ("sqlite:////absent/folder/studies.db", "sqlite:////absent/folder/studies.db: the storage failed: unable"),
    ],
)  # fmt: skip
def test_a_storage_that_cannot_be_had_is_refused_in_one_line_without_secrets(url, expected):
    with pytest.raises(ResultsError) as refused:
        open_storage(url)
    told = str(refused.value)
    assert told.startswith(expected)
    assert "\n" not in told
    assert "secret" not in told


@pytest.mark.extra
def test_a_server_that_is_not_there_is_refused(unused_port: int):
    with pytest.raises(ResultsError) as refused:
        open_storage(f"postgresql://me:secret@127.0.0.1:{unused_port}/studies?application_name=hush")
    told = str(refused.value)
    assert told.startswith(f"postgresql://127.0.0.1:{unused_port}/studies: the storage failed: ")
    assert "refused" in told
    assert told.endswith("mend it, or choose another --storage, and run the same command again")
    assert "secret" not in told
    assert "hush" not in told


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path):
    path = tmp_path / "studies.db"
    path.write_text("these are my notes, not a database " * 50)
    with pytest.raises(ResultsError, match=r"studies\.db: the storage failed: file is not a database; mend it"):
        open_storage(own_storage_url(tmp_path))
    assert path.read_text().startswith("these are my notes")


def test_a_storage_of_another_version_is_refused(tmp_path: Path):
    url = own_storage_url(tmp_path)
    open_storage(url)
    with sqlite3.connect(tmp_path / "studies.db") as connection:
        connection.execute("UPDATE version_info SET schema_version = 99")
        connection.execute("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    with pytest.raises(ResultsError, match=r"studies\.db: .*version"):
        open_storage(url)


def test_what_fails_later_is_told_alike(tmp_path: Path):
    url = own_storage_url(tmp_path)
    study = optuna.create_study(storage=open_storage(url))
    with sqlite3.connect(tmp_path / "studies.db") as connection:
        connection.execute("DROP TABLE trials")
    with (
        pytest.raises(ResultsError, match=r"studies\.db: the storage failed: no such table: trials"),
        storage_errors_told(url),
    ):
        study.ask()


@pytest.mark.parametrize("refusal", [errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP])
def test_a_file_system_without_locks_is_told_at_once(tmp_path, monkeypatch, refusal):
    def refuse(file: object, operation: int) -> None:
        raise OSError(refusal, os.strerror(refusal))

    monkeypatch.setattr(fcntl, "lockf", refuse)
    url = f"sqlite:///{tmp_path}/studies.db"
    with pytest.raises(
        ResultsError, match=r"its file system cannot lock files \(.*\), .* give a --storage on ano"
    ):
        open_storage(url)
    assert list(tmp_path.iterdir()) == []
