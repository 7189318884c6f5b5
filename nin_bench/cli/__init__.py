"""The command line: commands, options, progress on screen, exit codes. The only room that prints.

torch and everything that needs it is imported inside the commands that use it, so that `--help`, `status`,
`schema` and `report` answer at once.
"""

import atexit
import gc
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from nin_bench import __version__
from nin_bench.cli.export import export
from nin_bench.cli.init import init
from nin_bench.cli.measure import measure
from nin_bench.cli.models import models, schema
from nin_bench.cli.options import with_groups
from nin_bench.cli.plan import plan
from nin_bench.cli.replay import replay
from nin_bench.cli.results import doctor, report, status
from nin_bench.cli.run import run
from nin_bench.cli.search import search
from nin_bench.cli.streams import keep_streams
from nin_bench.errors import InputError, MultipleInputError, NinBenchError, printable
from nin_bench.signals import STOP_SIGNALS

app = typer.Typer(
    name="nin_bench",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Ablation and benchmarking of convolutional architectures: a YAML grid in, a report with evidence out.",
)

# In the order of `--help`.
for _command in (run, plan, measure, search, report, models, status, doctor, replay, export, schema, init):
    app.command()(with_groups(_command))

TAKE_GRIDS = ("run", "plan", "measure", "search")

_UsageError: Any = typer.BadParameter.__base__
"""A wrong option or argument; click's class, or the copy of it that newer versions of typer carry."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    0 all well, 1 something failed or is left, 2 wrong input, 3 `--fail-on`, 128 + the number of a signal.
    """
    keep_streams()
    # Imports make hundreds of thousands of objects that stay. Looking through them for garbage, meanwhile and once
    # more at the end, would take a quarter of all that `plan` takes.
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)
    os.environ["MPLBACKEND"] = "agg"  # no window is opened, and a name that matplotlib does not know ends nothing
    for number in STOP_SIGNALS:
        # Ctrl-C raises KeyboardInterrupt, as everywhere; what is ignored, as under nohup, stays ignored.
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, lambda number, frame: sys.exit(128 + number))
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr has it, where a terminal knows no ×
    try:
        # Not standalone, so that a wrong option is told as any other input: in one line.
        status = app(args=_completed(sys.argv[1:] if arguments is None else arguments), standalone_mode=False)
    except _UsageError as error:
        command = error.ctx.command_path if error.ctx else "nin_bench"
        _refuse(f"{_hint(error) or error.format_message().rstrip('.')}; see {command} --help")
    except MultipleInputError as errors:
        _refuse(*str(errors).splitlines())
    except NinBenchError as error:
        _refuse(str(error))
    except OSError as error:
        if (
            error.filename is None
        ):  # nobody's file but our own output, whose rest must not fail once more at the end
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        where = error.filename or "the output"
        _refuse(f"{where}: {error.strerror or error}; mend it or choose another place, then run the command again")
    sys.exit(status)


def _completed(arguments: Sequence[str]) -> list[str]:
    """`plan x.yaml` as `plan --grid x.yaml`, and `--serve` without a port as that of any free one."""
    given = list(arguments)
    if "--serve" in given and not "".join(given[(at := given.index("--serve") + 1) :][:1]).isdigit():
        given.insert(at, "0")
    if len(given) > 1 and given[0] in TAKE_GRIDS and not given[1].startswith("-"):
        given.insert(1, "--grid")
    return given


def _hint(error: Any) -> str | None:
    """What to write in place of an option that is none, where it is a field of a grid."""
    from nin_bench.cell import DataSpec, Recipe

    option = getattr(error, "option_name", None) or ""
    field = option.lstrip("-").replace("-", "_")
    for section, spec in (("recipe", Recipe), ("data", DataSpec)):
        if field in spec.model_fields:
            return f"No such option: {option}; it is a field of the grid, so use --set {section}.{field}=…"
    return None


def _refuse(*lines: str) -> NoReturn:
    sys.stderr.writelines(f"{printable(' '.join(line.split()))}\n" for line in lines)
    sys.exit(2)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nin_bench {__version__}")
        raise typer.Exit


@app.callback()
def _nin_bench(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    try:
        Path.cwd()
    except OSError as error:  # of which libraries say whatever they like, each later and another way
        reason = error.strerror or error
        raise InputError(f"the current folder cannot be used: {reason}; change into one that is there") from error
