from nin_bench.failures import cause_of, failures_alike


def test_failures_are_alike_whatever_their_numbers():
    assert cause_of("crashed", "ValueError: at 0x7f3a, step 12\nmore") == cause_of(
        "crashed", "ValueError: at 0x81, step 9"
    )
    assert cause_of("crashed", "ValueError: a") != cause_of("crashed", "ValueError: b")
    assert cause_of("timed_out", None) != cause_of("crashed", None)


def test_a_variant_that_failed_three_times_alike_is_named():
    bug = ("deep", "crashed", "ValueError: bug 1")
    others = [("deep", "trained", None), ("wide", "crashed", "ValueError: bug 1"), ("deep", "missing", None)]
    assert failures_alike([bug, bug, *others]) == []
    assert failures_alike([bug, *others, bug, bug]) == ["deep: 3 cells failed alike (crashed: ValueError: bug 1)"]
    assert failures_alike([("deep", "invalid", "no")] * 5) == [], "what is final is not tried again"
    assert failures_alike([("deep", "crashed", "a"), ("deep", "crashed", "b"), ("deep", "crashed", "c")]) == []
