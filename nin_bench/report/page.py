"""What every page of a report shares: the template's filters, figures written whole."""

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from nin_bench.errors import ResultsError
from nin_bench.files import write_atomically
from nin_bench.report import text
from nin_bench.report.look import Picture
from nin_bench.report.signature import sign_png, sign_svg
from nin_bench.results.artefact import Artefact


def digest_of(analysis: Artefact) -> str:
    """By what a figure is known to have been drawn from a report's data: a SHA-256 in hexadecimal.

    It is of the report as a whole, so that nobody has to keep a list of what each figure draws.
    """
    return hashlib.sha256(analysis.model_dump_json().encode()).hexdigest()


def write_figures(pictures: Mapping[str, Picture], folder: Path, known: Collection[str], digest: str) -> None:
    """Write each figure as SVG and PNG, and remove those of an earlier report that this one lacks.

    Args:
        pictures: by name.
        folder: where they go; it is made.
        known: every name that such a report can have; other files in the folder are left alone.
        digest: `digest_of` what they were drawn from; both files carry it.

    Raises:
        ResultsError: the folder cannot be written.
    """
    lacking = set(known) - pictures.keys()
    make_folder(folder, without=[f"{name}.{kind}" for name in lacking for kind in ("svg", "png")])
    for name, picture in pictures.items():
        write_atomically(folder / f"{name}.svg", sign_svg(picture.svg, digest))
        write_atomically(folder / f"{name}.png", sign_png(picture.png, digest))


def make_folder(folder: Path, without: Iterable[str]) -> None:
    """Make a report's folder, and remove what an earlier report left there that this one lacks.

    Raises:
        ResultsError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in without:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise ResultsError(
            f"{error.filename or folder}: {error.strerror or error}; give the report a folder that can be written"
        ) from error


def render_page(template: str, context: Mapping[str, Any], filters: Mapping[str, Callable[..., Any]]) -> str:
    """A page from its template; every value is escaped for Markdown as it is put in.

    Args:
        template: a file's name in `templates/`.
        context: what the template names.
        filters: the page's own, beside those that all pages have.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nin_bench.report"),
        finalize=text.escape_markdown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(_FILTERS)
    environment.filters.update(filters)
    return re.sub(r"\n{3,}", "\n\n", environment.get_template(template).render(context))


def field_value(value: Any, name: str = "") -> str:
    """A value of data, recipe or environment as a page shows it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and name.endswith("_bytes"):
        return f"{value / 2**30:.1f} GiB"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def machine_and_software(environment: Mapping[str, Sequence[Any]]) -> dict[str, dict[str, Any]]:
    """The environment in two lines of the setting; several values of one name side by side."""
    lines: dict[str, dict[str, Any]] = {"Machine": {}, "Software": {}}
    for name, values in environment.items():
        is_software = name.startswith("software.") or name in {"python", "nin_bench", "commit"}
        if values != [None]:
            shown = " / ".join(field_value(value, name) for value in values)
            lines["Software" if is_software else "Machine"][name.removeprefix("software.")] = shown
    return {title: values for title, values in lines.items() if values}


def _fields(values: Mapping[str, Any]) -> str:
    return " · ".join(
        f"{name.removesuffix('_bytes')} {field_value(value, name)}"
        for name, value in values.items()
        if value is not None
    )


_FILTERS: dict[str, Callable[..., str]] = {
    "one_line": lambda value: " ".join(value.split()),
    "as_sentence": lambda value: value[:1].upper() + value[1:],
    "words": lambda name: name.replace("_", " "),
    "shortened": lambda value: text.shortened(value, 240),
    "fields": _fields,
    "field_value": field_value,
    "number_ranges": text.number_ranges,
    "percent_spread": text.percent_spread,
    "quantity_spread": text.quantity_spread,
}
