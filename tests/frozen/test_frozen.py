"""Every frozen value is what the code says today, or the table in paths.yaml explains why not."""

import json

import pytest

from tests.frozen import frozen_today
from tests.frozen.frozen_values import FOLDER, Table, differences, flat, message, stored

MALFORMED = json.loads((FOLDER / "malformed.json").read_text(encoding="utf-8"))
TOLERANCE = 0.02
"""Relative or absolute, of losses and sums of weights where the processor is not of the kind that was frozen."""
TOLERANCE_OF_ACCURACY = 0.06
"""Absolute: in bfloat16, 15 of 256 images may fall on the other side."""


def is_near(path: str, old: float, new: float) -> bool:
    if path.endswith("accuracy"):
        return bool(new == pytest.approx(old, abs=TOLERANCE_OF_ACCURACY))
    return bool(new == pytest.approx(old, rel=TOLERANCE, abs=TOLERANCE))


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
        was = frozen_today.place(case["answer"])
        frozen, today = (
            {f"{number}/{key}": value for key, value in place.items()}
            for place in (was, frozen_today.place_among(answer, was))
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
        near = {path: old for path, old in numbers.items() if path in today and is_near(path, old, today[path])}
        lines = differences("bits", numbers, today | near, table)
    assert not lines, message("bits", lines)
