"""The options that commands share, and how they print."""

import inspect
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from platformdirs import user_cache_path

from nin_bench.errors import InputError, printable, unknown_name

if TYPE_CHECKING:
    from nin_bench.listeners import Listener


def _default_data_dir() -> str:
    try:
        path = user_cache_path("nin_bench")
    except RuntimeError:  # nobody's home
        return "none"
    return str(Path("~", path.relative_to(Path.home())) if path.is_relative_to(Path.home()) else path)


def named_path(given: str | Path) -> Path:
    """A path that an option names; an empty one, as an unset variable leaves it, would mean the current folder."""
    if not str(given).strip():
        raise typer.BadParameter("it is empty; name a place, or leave the option out")
    return Path(given)


def _use_own_file(path: Path | None) -> Path | None:
    if path is not None:
        from nin_bench.models import use_own_file

        use_own_file(path)
    return path


OwnModelsOption = Annotated[
    Path | None,
    typer.Option(
        "--models",
        metavar="FILE.py",
        callback=_use_own_file,
        help="Your own Python file that registers models or datasets. It is run, with all that you may do.",
    ),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        parser=named_path,
        help=f"Folder of the datasets, also for downloads; default NIN_BENCH_DATA, else {_default_data_dir()}.",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        help="Number of processes on a CPU, or on each accelerator; default one per core of a CPU.",
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, or a torch device such as cuda:0.")]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--timeout", metavar="S", min=1, help="Seconds after which a cell, a trial or a sample is stopped."
    ),
]
MaxFailuresOption = Annotated[
    int, typer.Option("--max-failures", metavar="N", min=1, help="Stop a variant after so many failures alike.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
FolderArgument = Annotated[
    Path,
    typer.Argument(metavar="RESULTS_DIR", help="A results folder, <root>/<grid>/<profile>.", show_default=False),
]


@dataclass(frozen=True)
class WorkOptions:
    """Who works, and for how long."""

    executor: Annotated[
        str,
        typer.Option(
            "--executor", help="local, or ray: the nodes of a Ray cluster, which start with `ray start`."
        ),
    ] = "local"
    ray_address: Annotated[
        str,
        typer.Option(
            "--ray-address",
            metavar="ADDRESS",
            help="The cluster's head as HOST:PORT; auto is the one of this machine.",
        ),
    ] = "auto"
    timeout: TimeoutOption = None
    budget: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="TIME",
            help="Stop in time, checkpoints saved, as 90m, 2h or 1h30m; slurm: before this job of SLURM ends.",
        ),
    ] = None

    @property
    def cluster(self) -> str | None:
        """The address of the Ray cluster; None for this machine, InputError for another executor."""
        if self.executor not in ("local", "ray"):
            raise InputError(f"--executor: {unknown_name('executor', self.executor, ['local', 'ray'])}")
        return None if self.executor == "local" else self.ray_address

    @property
    def seconds(self) -> float | None:
        """The budget; None if there is none, InputError if it is no duration."""
        return None if self.budget is None else parse_duration(self.budget)


@dataclass(frozen=True)
class ReuseOptions:
    """Which results that are there already count."""

    accept_code_changes: Annotated[
        bool,
        typer.Option(
            "--accept-code-changes", help="Keep cells as done although the code of their model has changed."
        ),
    ] = False
    reuse_from: Annotated[
        list[Path] | None,
        typer.Option(
            "--reuse-from", metavar="ROOT", help="Take over cells from the results folders under this root, too."
        ),
    ] = None
    no_reuse: Annotated[
        bool, typer.Option("--no-reuse", help="Take over no cell from another results folder; train all here.")
    ] = False

    @property
    def fields(self) -> dict[str, Any]:
        """Fields of `RunOptions` that these options give."""
        given = {"accept_code_changes": self.accept_code_changes, "other_roots": self.reuse_from or ()}
        return {**given, "reuse": not self.no_reuse}


@dataclass(frozen=True)
class FollowOptions:
    """Who follows the work while it lasts."""

    listeners: Annotated[
        list[str] | None,
        typer.Option(
            "--listener",
            metavar="NAME",
            help="Send curves to a tracker: tensorboard, mlflow, or a package's own; repeatable.",
        ),
    ] = None
    serve: Annotated[
        int | None,
        typer.Option(
            "--serve",
            metavar="[PORT]",
            min=0,
            max=65_535,
            help="Show how it goes in a browser of this machine while it lasts; its address is printed.",
        ),
    ] = None

    def check_listeners(self) -> None:
        """See that all listeners can be had; InputError if one is unknown, or cannot be imported."""
        from nin_bench.listeners import opener_of

        for name in self.listeners or ():
            opener_of(name)

    @contextmanager
    def following(
        self, folder: Path, name: str, report: str
    ) -> "Iterator[tuple[Sequence[str | Listener], Callable[[Path | None], None]]]":
        """While it is entered, a page follows the work in a results folder, if one is wanted.

        Args:
            folder: the results folder.
            name: the title of the page that is served.
            report: the page of a report that is shown on it.

        Yields:
            All listeners, and a function that is called at the end with the report's last page.
        """
        from nin_bench.live.server import serving

        if self.serve is None:
            yield self.listeners or (), lambda page: None
            return
        with serving(folder, name, self.serve, report) as live:
            note(f"watch: {live.address}")
            yield (*(self.listeners or ()), live.state), lambda page: live.end(page and page.with_suffix(".html"))


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """A command that has an option for each field of those of its parameters that are dataclasses."""
    own = inspect.signature(command).parameters.values()
    groups: dict[str, Any] = {one.name: one.annotation for one in own if is_dataclass(one.annotation)}

    @wraps(command)
    def called(**given: Any) -> None:
        made = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**made, **given)

    single = [
        part
        for one in own
        for part in (inspect.signature(groups[one.name]).parameters.values() if one.name in groups else [one])
    ]
    called.__signature__ = inspect.Signature(single)  # type: ignore[attr-defined]
    return called


_DURATION = re.compile(r"(?=\d)(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?")
_JOB_END = "SLURM_JOB_END_TIME"


def parse_duration(text: str) -> float:
    """The seconds of a duration as `--for` takes it; `slurm` is what is left of this job of SLURM.

    >>> parse_duration("1h30m"), parse_duration("45s")
    (5400.0, 45.0)

    Raises:
        InputError: it is none, or it is zero.
    """
    if text == "slurm":
        try:
            return max(1.0, float(os.environ[_JOB_END]) - time.time())
        except (KeyError, ValueError) as error:
            raise InputError(
                f"--for slurm: {_JOB_END} is not set; run it in a job of SLURM, or write 2h"
            ) from error
    match = _DURATION.fullmatch(text)
    hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    total = 3600.0 * hours + 60 * minutes + seconds
    if not total:
        raise InputError(f"--for {text!r}: is no duration; write 90m, 2h, 45s, 1h30m or slurm")
    return total


def parse_batch_seeds(text: str) -> int | Literal["auto"]:
    """The number of seeds as `--batch-seeds` takes it; InputError unless it is `auto`, or 2 or more."""
    if text == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 2:
        raise InputError(f"--batch-seeds {text!r}: is no number of seeds; write auto, or 2 or more")
    return int(text)


def time_left(seconds: float | None, started: float) -> float | None:
    """What is left of a budget that counts from `started`, by `time.monotonic`; None if there is none."""
    return None if seconds is None else started + seconds - time.monotonic()


def tell(text: str) -> None:
    """Print a line on stdout; what would steer a terminal is written out, since names may come from anybody."""
    print(printable(text))  # not typer's echo, which would send UTF-8 to a terminal that knows less


def note(text: str) -> None:
    """Tell something on stderr, beside the command's output."""
    typer.echo(printable(text), err=True)


def print_json(document: Any) -> None:
    """Print one strict JSON document on stdout."""
    from nin_bench.files import to_json

    typer.echo(to_json(document), nl=False)


def print_table(rows: Sequence[Sequence[str]], *, num_left: int) -> None:
    """Print columns as wide as their widest cell, the first few ranged left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            f"{cell:{'<' if index < num_left else '>'}{width}}"
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        tell("  ".join(cells).rstrip())
