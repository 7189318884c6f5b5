"""What is said of the lock on claims and seeds, before and after the first run."""

import pytest

from nin_bench.analysis.lock import Lock, lock_notes
from nin_bench.analysis.power import power_analysis
from nin_bench.results.lock import locked
from nin_bench.results.schema import ResolvedGrid

SIDES = "compare: [{hidden: 16}, {hidden: 32}], expect: greater"
FIRST = f"{{id: a, says: x, metric: test_accuracy, margin: 0.01, primary: true, {SIDES}}}"
SECOND = f"{{id: b, says: x, metric: test_loss, margin: 0.01, {SIDES}}}"


@pytest.fixture
def stored(load) -> ResolvedGrid:
    """A folder's grid.json after a run of six seeds and one claim."""
    return locked(load(FIRST, seeds=6).resolved("cpu"), None, list, "2026-01-01T00:00:00+00:00")


def test_the_first_run_says_what_it_locks(load):
    (note,) = lock_notes(load(FIRST, SECOND, seeds=6).resolved("cpu"), None)
    assert note.startswith("the run locks 2 claims and 6 seeds")


def test_nothing_is_said_of_a_grid_that_is_as_it_was_locked(load, stored):
    assert lock_notes(load(FIRST, seeds=6).resolved("cpu"), stored) == []


@pytest.mark.parametrize(
    ("hypotheses", "seeds", "expected"),
    [
        ([FIRST], 8, "seeds that came after the lock are trained and count for no claim that was locked before "
                     "them: 6; 7 (claims: a)"),
        ([FIRST.replace("0.01", "0.02")], 6, "claims that are not as they were locked are judged as post hoc: a"),
        ([FIRST, SECOND], 6, "the run locks new claims, which are post hoc if their networks are all trained: b"),
        ([SECOND], 6, "claims that were locked and are left out still count in the family: a"),
    ],
)  # fmt: skip
def test_a_later_change_says_what_it_does(load, stored, hypotheses, seeds, expected):
    assert expected in lock_notes(load(*hypotheses, seeds=seeds).resolved("cpu"), stored)


def test_a_claim_whose_networks_were_trained_before_was_not_changed(load):
    grid = load(FIRST, SECOND, seeds=6).resolved("cpu")
    trained = [cell.cell_id for cell in grid.cells]
    late = locked(grid, None, lambda: trained, "2026-01-01T00:00:00+00:00")
    assert late.lock.already_trained == ("a", "b")
    (note,) = lock_notes(grid, late)
    assert note == "claims whose networks were all trained before they were locked are judged as post hoc: a; b"
    lock = Lock.read(late)
    assert lock.given_up(grid.hypotheses) == []
    assert [lock.holds(one) for one in grid.hypotheses] == [False, False]


def test_power_counts_only_the_seeds_that_will_count(load, stored):
    grid = load(FIRST, SECOND, seeds=8)
    a, b = power_analysis(grid, [], lock=Lock.read(stored))
    assert (a.num_seeds, b.num_seeds) == (6, 8)
