"""Every frozen value is what the code says today, or the table in paths.yaml explains why not."""

import json

import frozen_today
import pytest
from frozen_values import FOLDER, Table, differences, flat, message, stored

MALFORMED = json.loads((FOLDER / "malformed.json").read_text(encoding="utf-8"))
TOLERANCE = 0.02
"""Relative, of the numbers of a training on another kind of processor than the one that was frozen."""


@pytest.fixture(scope="module")
def table() -> Table:
    return Table.read()


@pytest.mark.parametrize("name", frozen_today.KINDS)
def test_values_are_as_frozen(name, table):
    document, labels = frozen_today.KINDS[name]()
    lines = differences(name, stored(name), flat(document, table, labels), table)
    assert not lines, message(name, lines)


def test_every_malformed_grid_is_refused_at_the_same_place(table):
    lines = []
    for number, case in enumerate(MALFORMED):
        answer = frozen_today.answer(case)
        frozen, today = (
            {f"{number}/{key}": value for key, value in frozen_today.place(text).items()}
            for text in (case["answer"], answer)
        )
        lines += [
            f"{line}\n    was:  {case['answer']}\n    is:   {answer or 'not refused'}\n    grid: {case['grid']!r}"
            for line in differences("malformed", frozen, today, table)
        ]
    assert not lines, message("malformed", lines)


def test_bits_of_training_are_as_frozen(tmp_path, table):
    """On the kind of machine that was frozen bit for bit, elsewhere within the tolerance."""
    frozen = stored("bits")
    here = {f"machine/{key}": value for key, value in frozen_today.machine_class().items()}
    is_alike = here == {path: value for path, value in frozen.items() if path.startswith("machine/")}
    cells = {path: value for path, value in frozen.items() if path.startswith("cells/")}
    today = flat({"cells": frozen_today.bits(tmp_path)}, Table([], [], {}))
    if is_alike:
        lines = differences("bits", cells, today, table)
    else:
        numbers = {path: value for path, value in cells.items() if isinstance(value, float)}
        rounded = {
            path: old if today.get(path) == pytest.approx(old, rel=TOLERANCE, abs=TOLERANCE) else today.get(path)
            for path, old in numbers.items()
        }
        lines = differences("bits", numbers, rounded, table)
    assert not lines, message("bits", lines)
