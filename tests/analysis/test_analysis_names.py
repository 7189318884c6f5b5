from nin_bench.analysis.names import Label, Names

ONEXONE = [
    "nin pointwise=1 head=gap width=0.25",
    "nin pointwise=2 head=gap width=0.25",
    "nin pointwise=2 head=fc width=0.25 hidden=1024",
    "alexnet width=0.25 hidden=1024",
]


def test_an_argument_that_never_differs_is_left_out() -> None:
    names = Names.of(ONEXONE)
    assert list(names.by_label.values()) == [
        "nin pointwise=1 head=gap",
        "nin pointwise=2 head=gap",
        "nin pointwise=2 head=fc",
        "alexnet",
    ]
    assert names.not_repeated == {
        "nin": ["width=0.25", "hidden=1024"],
        "alexnet": ["width=0.25", "hidden=1024"],
    }


def test_two_variants_are_told_apart_by_what_differs() -> None:
    names = Names.of(ONEXONE)
    assert names.contrast(ONEXONE[1], ONEXONE[0]) == ("pointwise=2", "pointwise=1")
    assert names.contrast(ONEXONE[1], ONEXONE[2]) == ("head=gap", "head=fc")
    assert names.contrast(ONEXONE[0], ONEXONE[2]) == ("pointwise=1 head=gap", "pointwise=2 head=fc")
    assert names.contrast(ONEXONE[1], ONEXONE[3]) == ("nin pointwise=2 head=gap", "alexnet")


def test_an_argument_that_one_variant_alone_writes_is_kept_where_it_tells_them_apart() -> None:
    labels = ["nin width=0.5", "nin width=0.5 dropout=0.0"]
    names = Names.of(labels)
    assert list(names.by_label.values()) == ["nin", "nin dropout=0.0"]
    assert names.contrast(*labels) == ("nin", "nin dropout=0.0")


def test_what_is_no_label_is_its_own_name() -> None:
    for hostile in ("", "a|b", "x y", "a =1", "nin width=1 width=2", "=1 b=2"):
        assert Names.of([hostile, "nin width=1"])[hostile] == hostile
    assert Label.read("x y") is None
    # `nin` would be the name of the second, and is the first's label
    assert Names.of(["nin", "nin width=1"]).by_label == {"nin": "nin", "nin width=1": "nin width=1"}
    assert Names.of([])["never planned"] == "never planned"
