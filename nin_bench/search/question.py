"""What is searched, as search.json tells it, and whether it can be searched into a folder."""

from pathlib import Path
from typing import Any

from nin_bench.environment import describe_environment
from nin_bench.errors import InputError, ResultsError, SpecError
from nin_bench.files import DamagedFileError, read_json
from nin_bench.grid import Grid, SearchSpec, trial_variant
from nin_bench.plan import RegistryCatalog, check_networks
from nin_bench.results import ResultsFolder
from nin_bench.search.storage import storage_kind
from nin_bench.search.study import SCHEMA, study_name


def search_path(folder: ResultsFolder) -> Path:
    """Where the search as resolved lies."""
    return folder.path / "search.json"


def study_path(folder: ResultsFolder, variant_id: str) -> Path:
    """Where the summary of a variant's study lies."""
    return folder.path / "studies" / f"{variant_id}.json"


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


def load_search(
    grid: Grid, folder: ResultsFolder, catalog: RegistryCatalog, storage: str | None
) -> dict[str, Any]:
    """Check that a grid can be searched into a folder, and describe the search as search.json keeps it.

    Args:
        grid: what to search.
        folder: where its summaries are to go; nothing is written.
        catalog: knows the models.
        storage: the address of a storage that is not the folder's own.

    Raises:
        InputError: the grid has no search, or one that cannot be carried out.
        ResultsError: the folder holds another search.
    """
    if grid.search is None:
        raise InputError(f"{grid.name}: has no `search` section; add one with a space and a number of trials")
    document = _describe(grid, grid.search, storage)
    _check_variants(grid, grid.search, catalog)
    check_folder(folder, document)
    return document


def _describe(grid: Grid, search: SearchSpec, storage: str | None) -> dict[str, Any]:
    """The search as resolved, for whoever reads its results."""
    run_epochs = {variant.variant_id: variant.recipe.epochs for variant in grid.variants}
    lengths = set(run_epochs.values())
    return {
        "schema": SCHEMA,
        "name": grid.name,
        "profile": grid.profile,
        "question": grid.question,
        "source": grid.source,
        "data": grid.data,
        "recipe": grid.recipe,
        "search": {
            **search.as_plain(),
            "seeds": list(grid.search_seeds),
            "epochs": search.epochs or (lengths.pop() if len(lengths) == 1 else None),
            "run_epochs": run_epochs,
            "direction": search.direction,
        },
        "storage": storage_kind(storage) if storage else "sqlite",
        "variants": [{**variant.as_dict(), "study_name": study_name(grid, variant)} for variant in grid.variants],
        "environment": describe_environment(),
    }


def _check_variants(grid: Grid, search: SearchSpec, catalog: RegistryCatalog) -> None:
    """Whether validation images are there to choose by, and every network can be built at every corner."""
    for key, value in grid.data.items():
        if isinstance(value, list):
            raise grid.variants[0].refused(
                SpecError(key, f"an axis, but a tuned grid cannot hold a recipe for each {key}; give one value")
            )
    for variant in grid.variants:
        if variant.data.validation_size == 0:
            raise variant.refused(
                SpecError("validation_size", "0, but a search chooses by validation images; use more than 0")
            )
    tried = [
        trial_variant(variant, corner, search, catalog) for corner in search.corners() for variant in grid.variants
    ]
    check_networks([*grid.variants, *tried], catalog.data_dir)


def check_folder(folder: ResultsFolder, document: dict[str, Any]) -> None:
    """Refuse to lay one search over another.

    Raises:
        ResultsError: the folder holds summaries of another search.
    """
    path = search_path(folder)
    try:
        earlier = read_json(path, SCHEMA)
    except FileNotFoundError:
        return
    except DamagedFileError as error:
        raise ResultsError(f"{path} {error}; remove it, and search again") from error
    changed = [
        part
        for part in ("name", "data", "recipe", "search")
        if _lasting(earlier, part) != _lasting(document, part)
    ]
    if changed:
        raise ResultsError(
            f"{folder.path}: holds another search (its {', '.join(changed)} differ); undo the change, or choose "
            "another folder with --results"
        )


def _lasting(document: dict[str, Any], part: str) -> Any:
    """What of a search must not change while it goes on: variants may come and go, and trials be added."""
    value: Any = document.get(part)
    search = document["search"]
    if part == "recipe":
        return {key: one for key, one in value.items() if key not in search["space"]}
    if part == "search":
        passing = {"run_epochs", "epochs"} | (set() if search["sampler"] == "grid" else {"trials"})
        return {key: one for key, one in value.items() if key not in passing}
    return value
