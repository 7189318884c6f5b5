import pytest

from nin_bench.grid import Choice, Range

MODELS = "models: [{name: net, depth: [1, 2]}, {name: net, depth: 3, recipe: {lr: 0.5}}]\n"


def space(text: str, rest: str = "trials: 4, sampler: qmc") -> str:
    return f"{MODELS}search: {{space: {{{text}}}, {rest}}}\n"


# Points


def test_points_of_a_log_range_are_equal_factors_apart_and_keep_both_ends():
    rates = Range(name="lr", low=0.002, high=0.2, log=True)
    # 0.002 · 100^(k/5), three digits
    assert rates.points(6) == [0.002, 0.00502, 0.0126, 0.0317, 0.0796, 0.2]
    assert rates.points(2) == [0.002, 0.2]


def test_points_of_a_linear_range_are_equal_differences_apart():
    assert Range(name="momentum", low=0.0, high=0.9).points(4) == [0.0, 0.3, 0.6, 0.9]


def test_points_that_three_digits_cannot_tell_apart_keep_them_all():
    points = Range(name="lr", low=0.1, high=0.1004).points(5)
    assert points == pytest.approx([0.1, 0.1001, 0.1002, 0.1003, 0.1004])
    assert len(set(points)) == 5


def test_points_of_whole_numbers_are_whole():
    points = Range(name="batch_size", low=16, high=128, log=True).points(4)
    assert points == [16, 32, 64, 128]
    assert {type(point) for point in points} == {int}


# Reading


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lr: {low: 1.0e-3, high: 1, log: true}", Range(name="lr", low=1e-3, high=1.0, log=True)),
        ("momentum: {low: 0, high: 0.9}", Range(name="momentum", low=0.0, high=0.9)),
        ("batch_size: {low: 16, high: 64, log: on}", Range(name="batch_size", low=16, high=64, log=True)),
        ("warmup_epochs: {low: 0, high: 4}", Range(name="warmup_epochs", low=0.0, high=4.0)),
        ("init: [default, xavier_uniform]", Choice(name="init", choices=("default", "xavier_uniform"))),
        ("lr: [1, 0.1]", Choice(name="lr", choices=(1.0, 0.1))),
        ("micro_batch: [16, null]", Choice(name="micro_batch", choices=(16, None))),
        ("nesterov: [on, off], momentum: [0.5, 0.9]", Choice(name="nesterov", choices=(True, False))),
        ("model.width: {low: 1, high: 2}", Range(name="model.width", low=1.0, high=2.0)),
        ("model.head: [gap, fc]", Choice(name="model.head", choices=("gap", "fc"))),
    ],
)
def test_a_field_is_read_in_the_recipe_s_own_type(load, text, expected):
    parameter = load(space(text)).search.space[0]
    assert parameter == expected
    ends = (
        (parameter.low, expected.low)
        if isinstance(parameter, Range)
        else (parameter.choices[0], expected.choices[0])
    )
    assert type(ends[0]) is type(ends[1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("learning_rate: [0.1, 1.0]", "5:18: learning_rate: unknown field 'learning_rate'; Known: "),
        ("lrr: [0.1, 1.0]", "5:18: lrr: unknown field 'lrr'; did you mean 'lr'? "),
        ("depth: [1, 2]", "5:18: depth: 'depth' is an argument of models, not a field of the recipe; "
         "to search it, say model.depth"),
        ("model.deph: [1, 2]", "5:18: model.deph: net has no such argument, and all must have "),
        ("model.depth: [1, -1]", "5:35: model.depth[1]: net depth=1: -1 is not a number of layers"),
        ("epochs: [1, 2]", "5:18: epochs: epochs cannot be searched: trials of different lengths"),
        ("test_every_epoch: [on, off]", "5:18: test_every_epoch: test_every_epoch cannot be searched: "
         "no choice may use the test images"),
        ("lr: 0.1", "5:22: lr: 0.1 is not a range or a list of choices"),
        ("lr: {low: 0.1}", "5:22: lr: lacks 'high'"),
        ("lr: {low: 0.1, high: 1, scale: log}", "5:42: lr.scale: unknown field 'scale'; "),
        ("lr: {low: 1.0, high: 0.1}", "5:28: lr.low: 1 is not below high, 0.1; swap them"),
        ("lr: {low: 0.1, high: 0.1}", "5:28: lr.low: 0.1 is not below high, 0.1; "),
        ("weight_decay: {low: 0, high: 0.1, log: true}", "5:38: weight_decay.low: 0 has no place on a "
         "log scale; use more than 0, or log: false"),
        ("lr: {low: 0, high: 0.1, log: true}", "5:28: lr.low: 0 is not in range; use more than 0"),
        ("lr: {low: -1, high: 0.1}", "5:28: lr.low: -1 is not in range; use more than 0"),
        ("lr: {low: 0.1, high: '1'}", "5:39: lr.high: '1' is not a number; write digits"),
        ("lr: {low: 0.1, high: .inf}", "5:39: lr.high: inf is not a finite number"),
        ("lr: {low: 0.1, high: 1, log: 10}", "5:47: lr.log: 10 is not true or false"),
        ("batch_size: {low: 1.5, high: 8}", "5:36: batch_size.low: 1.5 is not a whole number"),
        ("init: {low: default, high: normal}", "5:24: init: init is no number, so it has no range; "
         "list the choices, as ['default', …]"),
        ("init: [default, xavier]", "5:34: init[1]: unknown init 'xavier'; did you mean "),
        ("init: [default]", "5:24: init: 1 leaves nothing to choose; give two values or more"),
        ("init: []", "5:24: init: 0 leaves nothing to choose; "),
        ("lr: [0.1, 1.0e-1]", "5:28: lr[1]: 0.1 is given twice; keep one"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_refused_at_its_place(refusal, text, expected):
    place, _, told = expected.partition(" ")
    assert refusal(space(text)).startswith(f"grid.yaml:{place} search.space.{told}")


def test_an_empty_space_is_refused(refusal):
    assert refusal(space("")) == (
        "grid.yaml:5:17: search.space: empty; give at least one field, as lr: {low: 1.0e-3, high: 1.0, log: true}"
    )


def test_an_argument_that_a_model_lacks_cannot_be_searched(refusal):
    text = space("model.depth: [4, 5]").replace("[{name: net", "[{name: flat}, {name: net")
    assert refusal(text) == (
        "grid.yaml:5:18: search.space.model.depth: flat has no such argument, and all must have what is "
        "searched; it has: none"
    )
