"""What a report needs to find in grid.json, checked before anything is read off it."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from nin_bench.errors import ResultsError, unknown_name
from nin_bench.metrics import METRICS
from nin_bench.results import ResultsFolder
from nin_bench.stats import Expectation


def _known(metric: str) -> str:
    if metric not in METRICS:
        raise ValueError(unknown_name("metric", metric, METRICS))
    return metric


class _Part(BaseModel):
    model_config = ConfigDict(strict=True)


class _Recipe(_Part):
    epochs: int
    lr: float


class _Match(_Part):
    size: Literal["num_params", "num_macs"]
    to: str
    width: float
    target: int
    reached: int
    residue: float


class _Variant(_Part):
    variant_id: str
    label: str
    model: dict[str, Any]
    data: dict[str, Any]
    recipe: _Recipe
    match: _Match | None = None


class _Cell(_Part):
    cell_id: str
    variant_id: str
    label: str
    seed: int


class _Hypothesis(_Part):
    id: str
    says: str
    primary: bool
    metric: Annotated[str, AfterValidator(_known)]
    compare: list[str] = Field(min_length=2, max_length=2)
    expect: Expectation
    margin: float | None = Field(default=None, ge=0)
    factor: float | None = Field(default=None, gt=1)


class _OpenClaim(_Part):
    says: str
    reason: str


class _Reference(_Part):
    id: str
    says: str
    metric: Annotated[str, AfterValidator(_known)]
    model: str
    value: float
    n: int = Field(ge=1)
    sd: float | None = Field(gt=0)
    source: str
    url: str | None
    differs: str | None


class _Lock(_Part):
    digest: str
    seeds: list[int]
    hypotheses: list[_Hypothesis]
    variants: dict[str, str] = {}


class _GridFile(_Part):
    name: str
    profile: str
    question: str
    device_kind: str
    seeds: list[int]
    baseline: str | None = None
    variants: list[_Variant]
    cells: list[_Cell] = Field(min_length=1)
    hypotheses: list[_Hypothesis]
    open_claims: list[_OpenClaim] = []
    caveats: list[str] = []
    references: list[_Reference] = []
    lock: _Lock | None = None


def check_grid_file(folder: Path) -> None:
    """See that a results folder's grid.json holds all that a report says of it.

    Raises:
        ResultsError: there is no readable grid.json, or something in it is missing or of the wrong kind.
    """
    results = ResultsFolder(folder)
    grid = results.read_grid()
    try:
        found = _GridFile.model_validate(grid)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _unusable(results, f"{place}: {first['msg'][:1].lower()}{first['msg'][1:]}") from error
    unknown = {cell.variant_id for cell in found.cells} - {variant.variant_id for variant in found.variants}
    if unknown:
        raise _unusable(results, f"cells: {min(unknown)!r} is none of its variants")


def _unusable(results: ResultsFolder, what: str) -> ResultsError:
    return ResultsError(f"{results.grid_path}: {what}; mend it, or remove it and run its grid again")
