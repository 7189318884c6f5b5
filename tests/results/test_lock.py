from typing import Any

import pytest

from nin_bench.results.lock import lock_digest, locked
from nin_bench.results.schema import Hypothesis, ResolvedGrid

CLAIM = {
    "id": "h", "claim": "A is better.", "primary": True, "metric": "test_accuracy", "compare": ["a", "b"],
    "expect": "greater", "margin": 0.01,
}  # fmt: skip
SPEC = {"model": {"name": "mlp"}, "data": {"name": "digits"}, "recipe": {"epochs": 2}}


def grid(ids: tuple[str, str] = ("v0", "v1"), seeds: int = 2, **changes: Any) -> ResolvedGrid:
    return ResolvedGrid.parse({
        "name": "tiny", "profile": "full", "question": "?", "data": {}, "recipe": {}, "device_kind": "cpu",
        "seeds": list(range(seeds)), "hypotheses": [{**CLAIM, **changes}],
        "variants": [{"variant_id": key, "label": label, **SPEC} for key, label in zip(ids, "ab", strict=True)],
        "cells": [
            {"cell_id": f"{key}s{seed}", "variant_id": key, "label": label, "seed": seed}
            for key, label in zip(ids, "ab", strict=True)
            for seed in range(seeds)
        ],
    })  # fmt: skip


def lock_again(new: ResolvedGrid, stored: ResolvedGrid | None, known: set[str], time: str) -> ResolvedGrid:
    return locked(new, stored, lambda: known, time)


def test_the_digest_is_of_seeds_and_hypotheses() -> None:
    # printf '{"hypotheses": [], "seeds": [0, 1]}' | sha256sum
    assert lock_digest([0, 1], []) == "232e204a82acb1c7bdfe33b27550e9831475397d14b3e0490bcd3186e9c45342"
    assert lock_digest([0, 1], [Hypothesis.model_validate(CLAIM)]) != lock_digest([0, 1], [])


def test_the_first_run_locks_what_it_finds():
    found = lock_again(grid(), None, set(), "monday")
    assert found.lock is not None
    assert (found.lock.locked_at, found.lock.num_cells_known, found.lock.already_trained) == ("monday", 0, ())
    assert found.lock.variants == {"a": "v0", "b": "v1"}
    assert found.lock.hypotheses == grid().hypotheses
    assert found.earlier_locks == ()


def test_an_unchanged_grid_keeps_its_lock_and_nobody_asks_what_is_known():
    first = lock_again(grid(), None, set(), "monday")

    def asked() -> set[str]:
        raise AssertionError("asked")

    again = locked(grid(), first, asked, "tuesday")
    assert (again.lock, again.earlier_locks) == (first.lock, ())


@pytest.mark.parametrize(
    "changed", [grid(margin=0.02), grid(claim="B is worse."), grid(seeds=3), grid(ids=("v0", "v7"))]
)
def test_a_change_is_locked_anew_and_every_earlier_lock_stays(changed: ResolvedGrid):
    first = lock_again(grid(), None, set(), "monday")
    second = lock_again(changed, first, {"v0s0", "v1s0", "elsewhere"}, "tuesday")
    assert second.lock is not None
    assert second.lock.locked_at == "tuesday"
    assert second.lock.num_cells_known == sum(cell.cell_id in {"v0s0", "v1s0"} for cell in changed.cells)
    third = lock_again(grid(), second, {"v0s0"}, "wednesday")
    assert [lock.locked_at for lock in third.locks] == ["monday", "tuesday", "wednesday"]
    assert lock_again(grid(), third, set(), "thursday").locks == third.locks


def test_a_lock_says_of_which_claims_all_cells_were_known():
    everything = {cell.cell_id for cell in grid().cells}
    found = lock_again(grid(), None, everything, "monday")
    assert found.lock is not None
    assert (found.lock.num_cells_known, found.lock.already_trained) == (4, ("h",))
    assert lock_again(grid(), None, everything - {"v1s1"}, "monday").lock.already_trained == ()


def test_a_lock_is_about_every_variant_that_a_claim_compares():
    def grid_of_four(last: str = "v3") -> ResolvedGrid:
        first, second = grid(minus=["c", "d"]), grid(ids=("v2", last))
        others = [
            one.model_copy(update={"label": label}) for one, label in zip(second.variants, "cd", strict=True)
        ]
        variants, cells = (*first.variants, *others), (*first.cells, *second.cells)
        return first.model_copy(update={"variants": variants, "cells": cells})

    everything = {cell.cell_id for cell in grid_of_four().cells}
    found = lock_again(grid_of_four(), None, everything - {"v3s1"}, "monday")
    assert found.lock is not None
    assert found.lock.already_trained == ()
    assert len(lock_again(grid_of_four("v7"), found, set(), "tuesday").locks) == 2
