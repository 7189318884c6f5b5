"""Where studies live: Optuna's storage behind a URL. No password is ever told or kept."""

import errno
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage, RDBStorage, get_storage
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from nin_bench.errors import ResultsError

TRIES = 4
"""How often a storage is opened before it counts as out of reach."""

_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP})
_EXAMPLE = "give one as postgresql://user@host/database or sqlite:///studies.db"


def own_storage(folder: Path) -> Path:
    """The storage of a results folder: an SQLite file, with its rollback journal and full synchronisation."""
    return folder / "studies.db"


def own_storage_url(folder: Path) -> str:
    """The address of a results folder's own storage."""
    return URL.create("sqlite", database=str(own_storage(folder))).render_as_string()


def storage_kind(url: str) -> str:
    """`sqlite`, `postgresql`, …: all that is kept of an address; ResultsError if it is no address."""
    return _parsed(url).get_backend_name()


def open_storage(url: str) -> BaseStorage:
    """Open a storage, its tables made where there are none.

    Raises:
        ResultsError: no such kind, no driver for it, it cannot be reached, or its folder cannot lock files.
    """
    _check_locks(url)
    # SQLite's writers take turns, and one may have to wait for several others.
    patience = {"connect_args": {"timeout": 60}} if storage_kind(url) == "sqlite" else {}
    with storage_errors_told(url):
        try:
            return get_storage(_opened(url, patience))
        except ImportError as error:
            raise ResultsError(
                f"{_shown(url)}: its driver is not installed; for PostgreSQL, pip install 'nin-bench[postgresql]'"
            ) from error
        except RuntimeError as error:  # written by another version of Optuna
            raise ResultsError(f"{_shown(url)}: {_first_line(error)}") from error


def _check_locks(url: str) -> None:
    """Refuse an SQLite file where files cannot be locked; SQLite would try for minutes, and say nothing."""
    database = _parsed(url).database
    if storage_kind(url) != "sqlite" or not database or database == ":memory:":
        return
    try:
        with TemporaryFile(dir=Path(database).absolute().parent) as probe:
            fcntl.lockf(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:  # of a folder that cannot be written, SQLite tells
        if error.errno in _NO_LOCKS:
            raise ResultsError(
                f"{_shown(url)}: its file system cannot lock files ({error.strerror}), which a search needs; "
                "give a --storage on another one, as sqlite:////var/tmp/studies.db, or on a server"
            ) from error


def _opened(url: str, engine_options: dict[str, Any]) -> RDBStorage:
    """Searches that open a new storage at the same moment all make its tables, and all but one of them fail."""
    for _ in range(TRIES - 1):
        with suppress(DBAPIError):
            return RDBStorage(url, engine_options)
    return RDBStorage(url, engine_options)


@contextmanager
def storage_errors_told(url: str) -> Iterator[None]:
    """While it is entered, a storage that cannot be reached, or refuses, is a ResultsError of one line."""
    try:
        yield
    except (OptunaError, SQLAlchemyError) as error:
        cause = error.__cause__ if isinstance(error, OptunaError) and error.__cause__ else error
        told = _without_secrets(_first_line(getattr(cause, "orig", None) or cause), url)
        raise ResultsError(
            f"{_shown(url)}: the storage failed: {told}; mend it, or choose another --storage, "
            "and run the same command again"
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ResultsError(f"--storage: no address of a storage; {_EXAMPLE}") from error


def _shown(url: str) -> str:
    """The address without user, password and options."""
    parsed = _parsed(url)
    return URL.create(
        parsed.drivername, host=parsed.host, port=parsed.port, database=parsed.database
    ).render_as_string()


def _without_secrets(text: str, url: str) -> str:
    parsed = _parsed(url)
    secrets = [str(parsed.password or ""), *(str(value) for value in parsed.query.values())]
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return text
