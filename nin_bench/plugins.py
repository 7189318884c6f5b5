"""What registers models and datasets from elsewhere: modules of other packages, and a user's own file."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import redirect_stdout
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Literal

from nin_bench.errors import InputError

Kind = Literal["model", "dataset"]

OWN = "own_models"
"""The package that modules of a user's own files are named in."""

_OWN_FILE = "NIN_BENCH_MODELS"
"""The environment variable that tells workers, which inherit it, of a user's own file."""

registered: dict[Kind, dict[str, Any]] = {"model": {}, "dataset": {}}
"""What was registered, by kind and name."""


def register(kind: Kind, name: str, value: object) -> None:
    """Note what a function's name stands for; ValueError if the name is taken."""
    if name in registered[kind]:
        raise ValueError(f"{kind} {name!r} is registered twice; rename one of the two functions")
    registered[kind][name] = value


def import_packages() -> Iterator[str]:
    """Import the modules that other packages name by entry points of `nin_bench.models` and `nin_bench.datasets`.

    Yields:
        A line for each that cannot be imported, which says why.
    """
    for kind in registered:
        for plugin in entry_points(group=f"nin_bench.{kind}s"):
            try:
                plugin.load()
            except (Exception, SystemExit) as error:  # whatever another package does on import
                package = (
                    f"package {plugin.dist.name} {plugin.dist.version}" if plugin.dist else "an installed package"
                )
                yield (
                    f"{kind}s of {package} ({plugin.value}) cannot be had: {type(error).__name__}: "
                    f"{' '.join(str(error).split())}; mend it, or uninstall it"
                )


def own_file() -> Path | None:
    """The user's own file whose models and datasets are registered; None if there is none."""
    path = os.environ.get(_OWN_FILE)
    return Path(path) if path else None


def keep_own_file(path: Path) -> None:
    """Let every process that is started from here on know of a user's own file."""
    os.environ[_OWN_FILE] = str(path.resolve())


def import_own_file(path: Path) -> None:
    """Import a user's own file, once; modules that lie beside it can be imported from it.

    Raises:
        InputError: there is no such file, or it cannot be imported; with the line, where one is to blame. Nothing
            that it registered is left.
    """
    name = f"{OWN}.{path.stem}"
    if name in sys.modules:
        return
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give the Python file that registers models or datasets")
    spec = spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise InputError(f"{path}: is no Python file; give one whose name ends in .py")
    before = {kind: dict(table) for kind, table in registered.items()}
    sys.modules[name] = module = module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    try:
        with redirect_stdout(sys.stderr):  # what it prints is no output of a command
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever a user's file does on import
        del sys.modules[name]
        registered.update(before)
        line = error.lineno if isinstance(error, SyntaxError) else line_in(path, error)
        place = f"{path}:{line}" if line else str(path)
        told = " ".join(str(error).split())
        raise InputError(f"{place}: cannot be imported: {type(error).__name__}: {told}; mend it") from error
    finally:
        sys.path.remove(str(path.resolve().parent))


def line_in(path: Path, error: BaseException) -> int | None:
    """The last line of a file that an error came through; None if it did not."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename) == path.resolve()]
    return lines[-1] if lines else None
