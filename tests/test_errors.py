import doctest
import pickle

import pytest

from nin_bench import errors
from nin_bench.errors import InputError, NinBenchError, ResultsError, SpecError, shown, some_of, unknown_name


def test_the_examples_hold():
    assert doctest.testmod(errors).failed == 0


def test_there_is_one_tree():
    assert issubclass(SpecError, InputError)
    assert issubclass(InputError, NinBenchError)
    assert issubclass(ResultsError, NinBenchError)
    assert not issubclass(ResultsError, InputError)


def test_a_refusal_tells_its_field_and_survives_the_way_out_of_a_worker():
    error = pickle.loads(pickle.dumps(SpecError("width", "0.001 leaves no channel; use 0.01 or more")))
    assert isinstance(error, SpecError)
    assert (error.field, error.message) == ("width", "0.001 leaves no channel; use 0.01 or more")
    assert str(error) == "width: 0.001 leaves no channel; use 0.01 or more"


def test_of_very_many_known_names_the_first_are_listed():
    answer = unknown_name("network of timm", "net_71x", [f"net_{number:03}" for number in range(1500)])
    assert "did you mean 'net_" in answer
    assert answer.endswith("net_010, net_011, and 1,488 more")


def test_an_unknown_name_is_answered_with_the_nearest_and_all():
    answer = unknown_name("model", "alexnt", ["nin", "lenet", "alexnet"])
    assert answer == "unknown model 'alexnt'; did you mean 'alexnet'? Known: alexnet, lenet, nin"


def test_nothing_is_suggested_where_nothing_is_near():
    assert (
        unknown_name("dataset", "imagenet", ["mnist", "svhn"]) == "unknown dataset 'imagenet'; Known: mnist, svhn"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (False, "false"),
        (3, "3"),
        (0.001, "0.001"),
        ("a\nb\x1b", r"'a\nb\x1b'"),
        ([1, 2], "a list"),
        ({"a": 1}, "a mapping"),
        ("x" * 100, "'" + "x" * 56 + "..."),
    ],
)
def test_a_value_is_shown_on_one_short_line(value, text):
    assert shown(value) == text


def test_many_names_are_cut():
    assert some_of(["only"]) == "only"
    assert some_of(list(range(12))) == "0; 1; 2; 3; 4; 5; 6; 7; 8; 9; 10; 11"
    assert some_of(range(1000), most=3) == "0; 1; 2; and 997 more"
