"""Whether a report still follows from its records: it is built anew elsewhere, and the two are held side by side.

Text is compared byte for byte; of a figure the data that it was drawn from, by the digest that it carries, in
a page too. Drawing libraries differ in bytes from version to version.
"""

import re
from pathlib import Path

from nin_bench.errors import ResultsError
from nin_bench.reporting.figures.provenance import digest_in

_FIGURE = re.compile(rb'<svg [^>]*?(data-digest="[0-9a-f]+")[^>]*>.*?</svg>', re.DOTALL)
_APART = {"compare.md", "compare.html", "compare.json"}
"""A comparison with other results may lie beside a report; it does not follow from these records alone."""


def compare_reports(fresh: Path, kept: Path) -> list[str]:
    """Name every file of a kept report that is not as the report that was built anew.

    Returns:
        A line for each file that is missing, differs or is none of the report's; none where all is well.

    Raises:
        ResultsError: no report is kept there, or it cannot be read.
    """
    if not kept.is_dir():
        raise ResultsError(f"{kept}: no report lies there; write one by the same command without --check")
    try:
        ours, theirs = _files(fresh), _files(kept)
        found = {name: _compare(ours.get(name), theirs.get(name)) for name in sorted(ours.keys() | theirs.keys())}
    except OSError as error:
        raise ResultsError(f"{error.filename}: cannot be read: {error.strerror}; mend the permissions") from error
    return [f"{kept / name}: {why}" for name, why in found.items() if why]


def _files(folder: Path) -> dict[str, Path]:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    return {name: path for name, path in files.items() if name not in _APART}


def _compare(fresh: Path | None, kept: Path | None) -> str | None:
    if fresh is None:
        return "is no file of this report; move it away"
    if kept is None:
        return "is missing; write the report anew"
    if fresh.suffix == ".svg":
        same = digest_in(fresh.read_bytes()) == digest_in(kept.read_bytes())
        return None if same else "was drawn from other data; write the report anew"
    same = _ours(fresh) == _ours(kept)
    return None if same else "does not follow from the records; write the report anew"


def _ours(path: Path) -> bytes:
    """What of a file libraries do not change: all but the figures of a page, of which their digests are left."""
    return _FIGURE.sub(rb"\1", path.read_bytes()) if path.suffix == ".html" else path.read_bytes()
