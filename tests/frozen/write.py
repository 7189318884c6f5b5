"""Freeze what the code says today: `python -m tests.frozen.write NAME...`, with names or patterns of values/.

Only for values that changed by definition, after the table says so; see README.md.
"""

import json
import sys
import tempfile
from fnmatch import fnmatch
from pathlib import Path

from tests.frozen import frozen_today
from tests.frozen.frozen_values import FOLDER, Table, flat, leaves, store

MALFORMED = FOLDER / "malformed.json"


def main(patterns: list[str]) -> None:
    """Write the files whose names match."""
    table = Table.read()
    for name, ask in frozen_today.KINDS.items():
        if any(fnmatch(name, pattern) for pattern in patterns):
            document, labels = ask()
            store(name, flat(document, table, labels))
    if "malformed" in patterns:
        cases = json.loads(MALFORMED.read_text(encoding="utf-8"))
        lines = [json.dumps({**case, "answer": frozen_today.answer(case)}, ensure_ascii=False) for case in cases]
        MALFORMED.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
    if "bits" in patterns:
        with tempfile.TemporaryDirectory() as folder:
            found = {"machine": frozen_today.machine_class(), "cells": frozen_today.bits(Path(folder))}
        store("bits", dict(leaves(found)))


if __name__ == "__main__":
    main(sys.argv[1:])
