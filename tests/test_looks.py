import pytest

from nin_bench.looks import SeedsUntilDecided, WatchedClaim
from nin_bench.results.schema import TakenLook
from nin_bench.stats.looks import looks

LOOKS = looks(24)  # at 12, 18 and 24 seeds


def claim(name: str, *variants: str, primary: bool = True) -> WatchedClaim:
    return WatchedClaim(name, primary, set(variants), LOOKS)


def take(claim: WatchedClaim, *, decided: bool) -> None:
    look = claim.next_look
    assert look is not None
    verdict = "supported" if decided else "undecided"
    claim.taken.append(
        TakenLook(hypothesis=claim.id, claim="", n=look.n, seeds=(), verdict=verdict, decided=decided, taken_at="")
    )


def seeds(*claims: WatchedClaim) -> SeedsUntilDecided:
    return SeedsUntilDecided(range(100, 124), LOOKS, claims)


def up_to(**ended: int):
    """So many of the listed seeds have ended, by variant."""
    return lambda variant, seed: seed < 100 + ended[variant]


def test_every_variant_is_trained_up_to_the_first_look():
    some = seeds(claim("a", "x", "y"), claim("s", "x", "z", primary=False))
    assert [some.num_seeds(variant) for variant in "xyzw"] == [12] * 4
    assert some.is_needed("w", 111)
    assert not some.is_needed("x", 112)


def test_after_a_look_only_variants_of_an_open_primary_claim_go_on():
    first, second = claim("a", "x", "y"), claim("b", "x", "z")
    some = seeds(first, second, claim("s", "y", "w", primary=False))
    take(first, decided=True)
    take(second, decided=False)
    assert [some.num_seeds(variant) for variant in "xyzw"] == [18, 12, 18, 12]
    take(second, decided=False)
    assert [some.num_seeds(variant) for variant in "xyzw"] == [24, 12, 24, 12]
    take(second, decided=False)
    assert second.next_look is None
    assert not some.may_be_needed("y", 112)  # nothing is left to be trained for


def test_what_a_taken_look_rests_on_stays_needed():
    first, second = claim("a", "x", "y"), claim("s", "x", "z", primary=False)
    some = seeds(first, second)
    for one, decided in ((first, False), (first, True), (second, False)):
        take(one, decided=decided)
    assert [some.num_seeds(variant) for variant in "xyzw"] == [18, 18, 12, 12]
    assert some.is_needed("x", 117)
    assert not some.may_be_needed("x", 118)


def test_what_may_be_needed_is_what_a_look_would_have_to_fail_for():
    first = claim("a", "x", "y")
    some = seeds(first)
    assert some.may_be_needed("x", 123)
    assert not some.may_be_needed("z", 112)
    take(first, decided=True)
    assert not some.may_be_needed("x", 112)
    assert some.may_be_needed("x", 111)


@pytest.mark.parametrize(("x", "y", "is_due"), [(12, 11, False), (12, 12, True), (24, 11, False), (18, 24, True)])
def test_a_look_is_due_when_the_first_seeds_of_both_have_ended(x, y, is_due):
    first = claim("a", "x", "y")
    assert seeds(first).due(up_to(x=x, y=y)) is (first if is_due else None)


def test_looks_that_were_missed_are_due_one_after_the_other():
    first = claim("a", "x", "y")
    some, taken = seeds(first), []
    while due := some.due(up_to(x=24, y=24)):
        taken.append(due.next_look.n)
        take(due, decided=False)
    assert taken == [12, 18, 24]


def test_a_decided_claim_is_never_looked_at_again():
    first = claim("a", "x", "y")
    take(first, decided=True)
    assert seeds(first).due(up_to(x=24, y=24)) is None


def test_a_secondary_claim_is_looked_at_where_its_seeds_were_trained():
    second = claim("s", "x", "z", primary=False)
    assert seeds(second).due(up_to(x=12, z=12)) is second
    take(second, decided=False)
    assert seeds(second).num_seeds("x") == 12
