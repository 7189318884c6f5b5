from nin_bench.failures import AlikeFailures, cause_of, failures_alike


def test_failures_are_alike_whatever_their_numbers():
    assert cause_of("crashed", "ValueError: at 0x7f3a, step 12\nmore") == cause_of(
        "crashed", "ValueError: at 0x81, step 9"
    )
    assert cause_of("crashed", "ValueError: a") != cause_of("crashed", "ValueError: b")
    assert cause_of("timed_out", None) != cause_of("crashed", None)


def test_the_failure_that_stops_a_variant_is_told_once_and_others_go_on():
    failures = AlikeFailures(2)
    assert not failures.add("deep", "crashed", "bug 1")
    assert not failures.add("deep", "crashed", "no room")
    assert not failures.add("wide", "crashed", "bug 1")
    assert failures.add("deep", "crashed", "bug 2")
    assert not failures.add("deep", "crashed", "bug 3")
    assert failures.stopped == {"deep"}
    failures.forget("wide")
    assert not failures.add("wide", "crashed", "bug 2"), "a trial that ended says that others may"


def test_a_variant_that_failed_three_times_alike_is_named():
    bug = ("deep", "crashed", "ValueError: bug 1")
    others = [("deep", "trained", None), ("wide", "crashed", "ValueError: bug 1"), ("deep", "missing", None)]
    assert failures_alike([bug, bug, *others]) == []
    assert failures_alike([bug, *others, bug, bug]) == ["deep: 3 cells failed alike (crashed: ValueError: bug 1)"]
    assert failures_alike([("deep", "invalid", "no")] * 5) == [], "what is final is not tried again"
    assert failures_alike([("deep", "crashed", "a"), ("deep", "crashed", "b"), ("deep", "crashed", "c")]) == []
