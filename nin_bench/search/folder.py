"""Read what a search left in a results folder; what is damaged ends the search in one line."""

from nin_bench.errors import ResultsError
from nin_bench.files import DamagedFileError
from nin_bench.results import ResultsFolder
from nin_bench.results.studies import SearchConfig, StudySummary


def read_search(folder: ResultsFolder) -> SearchConfig | None:
    """The search as resolved, or None where nothing was searched.

    Raises:
        ResultsError: the file is damaged.
    """
    path = folder.search_path
    try:
        return SearchConfig.read(path)
    except FileNotFoundError:
        return None
    except DamagedFileError as error:
        raise ResultsError(f"{path} {error}; remove it, and search again") from error


def read_study(folder: ResultsFolder, variant_id: str) -> StudySummary | None:
    """What is kept of a variant's study, or None where there is none.

    Raises:
        ResultsError: the file is damaged; the next search writes it anew.
    """
    path = folder.study_path(variant_id)
    try:
        return StudySummary.read(path)
    except FileNotFoundError:
        return None
    except DamagedFileError as error:
        raise ResultsError(f"{path} {error}; remove it and search again, which writes it anew") from error


def num_done(study: StudySummary | None) -> int:
    """Trials that were trained to their end, or pruned, by what is kept of a study; 0 where nothing is."""
    return study.num_done if study else 0
