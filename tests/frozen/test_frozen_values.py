"""The comparison finds what moved, went or changed, and takes the table's word for what is explained there."""

from tests.frozen.frozen_values import Row, Table, differences, equal, flat, leaves, store, stored

FROZEN = {"variants/v1/n": 8, "variants/v1/p": 0.25, "metric": "speed"}


def table(*rows: Row, words: dict[str, str] | None = None) -> Table:
    return Table([], rows, words or {})


def test_a_difference_names_path_old_and_new_value():
    today = {"variants/v1/n": 9, "metric": "speed"}
    assert differences("report", FROZEN, today, table()) == [
        "variants/v1/n: was 8, is 9",
        "variants/v1/p: was 0.25, and is not there",
    ]


def test_rows_move_excuse_and_reword_what_they_match_and_nothing_else():
    rows = [
        Row("report*", "variants/*/**", "costs/*/**", ""),
        Row("report*", "costs/*/n", "costs/*/num_rounds", ""),
        Row("report*", "costs/*/p", "gone", "no test"),
    ]
    today = {"costs/v1/num_rounds": 8, "metric": "throughput"}
    explained = table(*rows, words={"speed": "throughput"})
    assert differences("report-a", FROZEN, today, explained) == []
    assert len(differences("plan-a", FROZEN, today, explained)) == 2
    assert differences("report-a", FROZEN, today | {"costs/v1/num_rounds": 7}, explained) == [
        "variants/v1/n (now costs/v1/num_rounds): was 8, is 7"
    ]


def test_numbers_are_equal_to_nine_digits_and_kinds_are_told_apart():
    assert equal([0.1, None], [0.1 + 1e-12, None])
    assert not equal(0.1, 0.1 + 1e-8)
    assert not equal(1, True)
    assert not equal(None, 0)
    assert not equal([1], [1, 1])


def test_items_are_named_by_their_ids_in_any_order_and_labels_are_left_to_people():
    rows = [{"variant_id": "v1", "label": "a", "n": 1}, {"variant_id": "v2", "label": "b", "n": 2}]
    found = flat({"rows": rows, "best": "a"}, Table(["**/label"], [], {}))
    assert found == flat({"rows": rows[::-1], "best": "a"}, Table(["**/label"], [], {}))
    assert (found["rows/v2/n"], found["best"]) == (2, "v1")


def test_what_is_stored_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.frozen.frozen_values.VALUES", tmp_path)
    store("some", dict(leaves({"b": {"x": [1, 2.5], "y": {"z": None}}, "a": "text"})))
    assert stored("some") == {"a": "text", "b/x": [1, 2.5], "b/y/z": None}
