"""Where a search keeps what it found in a results folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nin_bench.errors import ResultsError
from nin_bench.files import DamagedFileError, read_json
from nin_bench.results import ResultsFolder
from nin_bench.search.study import SCHEMA


def search_path(folder: ResultsFolder) -> Path:
    """Where the search as resolved lies."""
    return folder.path / "search.json"


def study_path(folder: ResultsFolder, variant_id: str) -> Path:
    """Where the summary of a variant's study lies."""
    return folder.path / "studies" / f"{variant_id}.json"


def read_search(folder: ResultsFolder) -> dict[str, Any] | None:
    """The search as resolved, or None where nothing was searched.

    Raises:
        ResultsError: the file is damaged.
    """
    path = search_path(folder)
    try:
        return read_json(path, SCHEMA)
    except FileNotFoundError:
        return None
    except DamagedFileError as error:
        raise ResultsError(f"{path} {error}; remove it, and search again") from error


def read_study(folder: ResultsFolder, variant_id: str) -> dict[str, Any] | None:
    """What is kept of a variant's study, or None where there is none.

    Raises:
        ResultsError: the file is damaged; the next search writes it anew.
    """
    path = study_path(folder, variant_id)
    try:
        return read_json(path, SCHEMA)
    except FileNotFoundError:
        return None
    except DamagedFileError as error:
        raise ResultsError(f"{path} {error}; remove it and search again, which writes it anew") from error


def num_done(study: Mapping[str, Any] | None) -> int:
    """Trials that were trained to their end, or pruned, by what is kept of a study; 0 where nothing is."""
    return sum(trial["state"] != "failed" for trial in study["trials"]) if study else 0
