"""What is searched, as search.json keeps it, and whether it can be searched into a folder."""

from typing import Any

from nin_bench.catalog import RegistryCatalog, check_networks
from nin_bench.data.dataset import load_dataset
from nin_bench.environment import describe_environment
from nin_bench.errors import InputError, ResultsError, SpecError, shown
from nin_bench.grid import Grid, SearchSpec, Variant
from nin_bench.grid.search import MODEL, trial_variant
from nin_bench.results import ResultsFolder
from nin_bench.results.studies import SearchConfig, find_search, find_study
from nin_bench.search.storage import storage_kind
from nin_bench.search.study import study_name
from nin_bench.search.tuned import check_tunable
from nin_bench.training.trainer import Chance


def load_search(grid: Grid, folder: ResultsFolder, catalog: RegistryCatalog, storage: str | None) -> SearchConfig:
    """Check that a grid can be searched into a folder, and describe the search as search.json keeps it.

    Raises:
        InputError: the grid has no search, or one that cannot be carried out.
        ResultsError: the folder holds another search.
    """
    if grid.search is None:
        raise InputError(f"{grid.name}: has no `search` section; add one with a space and a number of trials")
    _check_variants(grid, grid.search, catalog)
    check_tunable(grid, catalog)
    config = _describe(grid, grid.search, catalog, storage)
    check_folder(folder, config)
    return config


def _describe(grid: Grid, search: SearchSpec, catalog: RegistryCatalog, storage: str | None) -> SearchConfig:
    """The search as resolved, for whoever reads its results."""
    run_epochs = {variant.variant_id: variant.recipe.epochs for variant in grid.variants}
    lengths = set(run_epochs.values())
    (spec,) = {variant.data for variant in grid.variants}  # several are refused
    return SearchConfig.model_validate({
        "name": grid.name,
        "profile": grid.profile,
        "question": grid.question,
        "source": grid.source,
        "data": grid.data,
        "recipe": grid.recipe,
        "search": {
            **search.model_dump(mode="json"),
            "seeds": list(grid.search_seeds),
            "epochs": search.epochs or (lengths.pop() if len(lengths) == 1 else None),
            "run_epochs": run_epochs,
            "direction": search.direction,
        },
        "storage": storage_kind(storage) if storage else "sqlite",
        "variants": [
            {
                **dict(variant.resolved()),
                "num_params": _num_params(variant, search, catalog),
                "study_name": study_name(grid, variant),
            }
            for variant in grid.variants
        ],
        "baseline": next((one.variant_id for one in grid.variants if one.label == grid.baseline), None),
        "environment": describe_environment(),
        "chance_loss": Chance.of(load_dataset(spec, catalog.data_dir).labels).loss,
    })  # fmt: skip


def _num_params(variant: Variant, search: SearchSpec, catalog: RegistryCatalog) -> int | None:
    """Parameters of the network that all trials of a variant train; None where they differ in the model too."""
    if any(name.startswith(MODEL) for name in search.space):
        return None
    return catalog.count(variant.model, variant.data, "num_params")


def _check_variants(grid: Grid, search: SearchSpec, catalog: RegistryCatalog) -> None:
    """Whether validation images are there to choose by, and every network can be built at every corner."""
    for key, value in grid.data.items():
        if isinstance(value, tuple):
            raise (
                grid.variants[0]
                .fields[f"data.{key}"]
                .error(f"one of several, but a tuned grid cannot hold a recipe for each {key}; give one value")
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


def check_folder(folder: ResultsFolder, config: SearchConfig) -> None:
    """Refuse, as ResultsError, a folder that holds another search, or more trials than are asked for."""
    earlier = find_search(folder)
    if earlier is None:
        return
    changed = [
        change
        for part in ("name", "data", "recipe", "search")
        for change in _changes(part, _lasting(earlier, part), _lasting(config, part))
    ]
    if changed:
        raise ResultsError(
            f"{folder.path}: holds another search ({', '.join(changed)}); undo the change, or choose another "
            "folder with --results"
        )
    asked = config.search.trials
    for variant in config.variants:
        study = find_study(folder, variant.variant_id)
        if study and (done := study.num_done) > asked:
            raise ResultsError(
                f"{folder.path}: holds {done} trials of {variant.label!r}, and {asked} are asked for; ask for "
                f"{done} or more, or choose another folder with --results"
            )


def keep_search(folder: ResultsFolder, config: SearchConfig, *, trains: bool) -> None:
    """Write search.json; a search that trains nothing leaves the environment that trials were trained in.

    Raises:
        ResultsError: it cannot be written.
    """
    earlier = None if trains else find_search(folder)
    environment = (earlier or config).environment
    config.model_copy(update={"environment": environment}).write(folder.search_path)


def _changes(place: str, before: Any, after: Any) -> list[str]:
    """Each value in which two searches differ, as `search.trials 7, now 3`; a list as `other search.seeds`."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            change
            for key in before | after
            for change in _changes(f"{place}.{key}", before.get(key), after.get(key))
        ]
    if before == after:
        return []
    return [f"other {place}" if isinstance(after, tuple) else f"{place} {shown(before)}, now {shown(after)}"]


def _lasting(config: SearchConfig, part: str) -> Any:
    """What of a search must not change while it goes on: variants may come and go, and trials be added."""
    value = config.model_dump(include={part})[part]
    if part == "recipe":
        return {key: one for key, one in value.items() if key not in config.search.space}
    if part == "search":
        passing = {"run_epochs", "epochs"} | (set() if config.search.sampler == "grid" else {"trials"})
        return {key: one for key, one in value.items() if key not in passing}
    return value
