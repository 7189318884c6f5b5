"""Widths found in a catalog whose counts are known: 10 parameters a channel and layer, 8 channels at width 1."""

import pytest

from nin_bench.errors import SpecError
from nin_bench.grid.match import nearest_width

TO_DEEP = "match: {num_params: {name: net, depth: 3}}"


def models(*entries: str) -> str:
    return "models:\n" + "".join(f"  - {{{entry}}}\n" for entry in entries)


def test_the_width_is_that_at_which_both_are_as_large(load):
    # 4 layers of 8 channels have 320 parameters, as have 2 layers of 16
    grid = load(models("name: net, depth: 3", f"name: net, depth: 1, {TO_DEEP}"))
    matched = grid.variants[1]
    assert matched.label == "net depth=1 width=2.0"
    assert matched.model.arguments["width"] == 2
    assert (matched.match.size, matched.match.to) == ("num_params", "net depth=3")
    assert (matched.match.target, matched.match.reached, matched.match.residue) == (320, 320, 0)


def test_it_is_the_same_experiment_as_one_whose_width_is_given(load):
    found = load(models("name: net, depth: 3", f"name: net, depth: 1, {TO_DEEP}")).variants[1]
    given = load(models("name: net, depth: 3", "name: net, depth: 1, width: 2.0")).variants[1]
    assert found.variant_id == given.variant_id
    assert found.label == given.label


def test_what_is_left_of_the_difference_is_kept(load):
    # 3 layers of n channels have 30 n parameters: 330 is nearest to 320, and 11 channels begin at 10.5 / 8
    grid = load(models("name: net, depth: 3", f"name: net, depth: 2, {TO_DEEP}"))
    (entry,) = [one for one in grid.resolved("cpu").variants if one.match]
    assert entry.match.model_dump() == {
        "size": "num_params", "to": "net depth=3", "width": 1.4, "target": 320, "reached": 330, "residue": 0.03125,
    }  # fmt: skip
    assert entry.model.arguments["width"] == 1.4


def test_every_point_of_an_axis_is_matched_by_itself(load):
    grid = load(models("name: net, depth: 3", f"name: net, depth: [0, 1, 7], {TO_DEEP}"))
    assert [variant.match.reached for variant in grid.variants[1:]] == [320, 320, 320]
    assert [variant.model.arguments["width"] for variant in grid.variants[1:]] == [4, 2, 0.5]


def test_the_target_may_stand_behind_and_the_order_stays(load):
    grid = load(models(f"name: net, depth: 1, {TO_DEEP}", "name: net, depth: 3"))
    assert [variant.label for variant in grid.variants] == ["net depth=1 width=2.0", "net depth=3"]


def test_macs_are_matched_on_the_same_images(load):
    head = "schema: 1\nname: tiny\ndata: {name: dots, resolution: [8, 16]}\n"
    grid = load(
        models("name: net, depth: 3", "name: net, depth: 1, match: {num_macs: {name: net, depth: 3}}"), head=head
    )
    assert [variant.match.target for variant in grid.variants[2:]] == [320 * 64, 320 * 256]
    assert [variant.match.to for variant in grid.variants[2:]] == [
        "net depth=3 resolution=8", "net depth=3 resolution=16",
    ]  # fmt: skip


def test_of_several_recipes_the_target_has_the_same(load):
    body = "recipe: {precision: [fp32, bf16]}\n" + models("name: net, depth: 3", f"name: net, depth: 1, {TO_DEEP}")
    assert [variant.match.to for variant in load(body).variants[2:]] == [
        "net depth=3 precision=fp32", "net depth=3 precision=bf16",
    ]  # fmt: skip


def test_a_pattern_tells_the_matched_from_the_others(load):
    body = models("name: net, depth: 3", "name: net, depth: 1", f"name: net, depth: 1, {TO_DEEP}")
    grid = load(body + "baseline: {depth: 1, match: num_params}\nexclude: [{depth: 1, match: null}]\n")
    assert grid.baseline == "net depth=1 width=2.0"
    assert [variant.label for variant in grid.variants] == ["net depth=3", "net depth=1 width=2.0"]


@pytest.mark.parametrize(
    ("entry", "answer"),
    [
        ("name: net, depth: 1, width: 2, match: {num_params: {depth: 3}}",
         "grid.yaml:6:27: models[1].width: given, and found by match as well; leave one of the two out"),
        ("name: flat, match: {num_params: {depth: 3}}",
         "grid.yaml:6:26: models[1].match.num_params: flat has no width to match it by (its arguments: none); "
         "leave match out"),
        ("name: net, depth: 1, match: {num_params: {depth: 5}}",
         "grid.yaml:6:47: models[1].match.num_params: matches 0 variants, must match exactly one of: net depth=3"),
        ("name: net, depth: 1, match: {num_params: {depth: 1}}",
         "grid.yaml:6:47: models[1].match.num_params: matches only variants that are matched themselves; "
         "name one whose width is given"),
        ("name: net, depth: 1, match: {num_params: {depht: 3}}",
         "grid.yaml:6:48: models[1].match.num_params.depht: unknown field 'depht'; did you mean 'depth'? "
         "Known: data, depth, head, label, match, name, recipe, relu, width"),
        ("name: net, depth: 1, match: {params: {depth: 3}}",
         "grid.yaml:6:35: models[1].match.params: unknown field 'params'; did you mean 'num_params'? "
         "Known: num_macs, num_params"),
        ("name: net, depth: 1, match: {}",
         "grid.yaml:6:34: models[1].match: names 0 sizes; give one of num_params, num_macs, and a pattern"),
        ("name: net, depth: 1, match: {num_params: null}",
         "grid.yaml:6:47: models[1].match.num_params: null is not a pattern; write a mapping of fields"),
        ("name: net, depth: 1, match: num_params",
         "grid.yaml:6:34: models[1].match: 'num_params' is not a match; write a mapping of fields"),
        ("name: net, depth: 1, head: fc, match: {num_params: {depth: 3}}",
         "grid.yaml:6:57: models[1].match.num_params: net depth=1 head=fc width=0.1 is the nearest to the 320 "
         "num_params of net depth=3, and has 1,020; at most 5% may differ, so change another argument of "
         "either, or match another variant"),
        ("name: net, depth: -1, match: {num_params: {depth: 3}}",
         "grid.yaml:6:24: models[1].depth: -1 is not a number of layers; use 0 or more"),
    ],
)  # fmt: skip
def test_a_wrong_match_is_refused_at_its_place(refusal, entry, answer):
    assert refusal(models("name: net, depth: 3", entry)) == answer


def test_a_match_of_several_is_refused(refusal):
    told = refusal(models("name: net, depth: [3, 4]", "name: net, depth: 1, match: {num_params: {name: net}}"))
    assert "matches 2 variants, must match exactly one of: net depth=3; net depth=4" in told


def test_two_that_are_matched_to_each_other_are_refused(refusals):
    told = refusals(
        models("name: flat", f"name: net, depth: 1, {TO_DEEP}",
               "name: net, depth: 3, match: {num_params: {depth: 1}}")
    )  # fmt: skip
    assert len(told) == 2
    assert told[0].startswith("grid.yaml:6:47: models[1].match.num_params: matches only variants that are matched")


def test_a_target_that_is_excluded_is_refused(refusal):
    told = refusal(
        models("name: flat", "name: net, depth: 3", f"name: net, depth: 1, {TO_DEEP}")
        + "exclude: [{depth: 3, match: null}]\n"
    )
    assert told == "grid.yaml:7:34: models[2].match: net depth=3 is excluded; match one that is compared"


def test_no_other_word_than_a_size_tells_the_matched(refusal):
    told = refusal(models("name: net") + "baseline: {match: params}\n")
    assert told.startswith("grid.yaml:6:19: baseline.match: unknown match 'params'; did you mean 'num_params'?")


def test_widths_that_round_to_the_same_channels_are_noted(load):
    # 8 channels at width 1: 1.01 and 1.05 are 8, too, 1.1 is 9
    grid = load(
        "recipe: {lr: [0.1, 0.2]}\n" + models("name: net, width: [1.05, 1, 1.1, 1.01]", "name: net, depth: 0")
    )
    assert grid.notes == tuple(
        f"grid.yaml:6:{column}: models[0].width[{n}]: net width={width} lr=0.1 is the same network as net width=1 "
        "lr=0.1: both widths round to the same channels"
        for n, column, width in ((3, 39, 1.01), (0, 25, 1.05))
    )
    assert len(grid.variants) == 10
    assert load(models("name: net, width: [1, 2]", "name: net, depth: 5, width: 1.01")).notes == ()


SEARCH = "search: {space: {model.relu: [true, false]}, trials: 2}\n"


def test_no_argument_of_models_is_searched_where_sizes_are_held_equal(refusal):
    told = refusal(models("name: net, depth: 3", f"name: net, depth: 1, {TO_DEEP}") + SEARCH)
    assert told == (
        "grid.yaml:7:18: search.space.model.relu: model.relu would change networks that match holds "
        "equal in size; leave it, or match, out"
    )


@pytest.mark.parametrize(
    ("target", "width"),
    [
        (96, 1.0),
        (97, 1.01),  # 96.96 rounds to 97
        (4, 0.05),  # 4.8: four and a half begin at 0.0469, and 0.05 gives five; 0.04 gives 3.84, which is 4
        (1, 0.01),
    ],
)
def test_the_nearest_width_has_few_decimals(target, width):
    def count(wide: float) -> int:
        channels = int(96 * wide + 0.5)
        if channels < 1:
            raise SpecError("width", "too narrow")
        return channels

    found = nearest_width(count, target)
    assert count(found) == target
    assert len(str(found)) <= len(str(width))


def test_a_target_out_of_reach_gives_the_end(catalog):
    def count(wide: float) -> int:
        if wide >= 10:
            raise SpecError("width", "too wide")
        return 5 if wide < 3 else 7

    assert count(nearest_width(count, 2)) == 5
    assert count(nearest_width(count, 1000)) == 7


def test_what_is_counted_is_what_count_model_counts(catalog):
    from nin_bench.cell import DataSpec
    from nin_bench.cost import count_model
    from nin_bench.models import ImageSpec

    data = catalog.resolve_data(DataSpec(name="digits", resolution=67))
    image = ImageSpec(channels=1, resolution=67, num_classes=10)
    for name, arguments in [("nin", {"width": 0.3}), ("vgg11", {"width": 0.05, "hidden": 16, "batch_norm": True})]:
        counted = count_model(name, image, **arguments)
        model = catalog.resolve_model(name, arguments)
        assert catalog.count(model, data, "num_params") == counted.num_params.total
        assert catalog.count(model, data, "num_macs") == counted.num_macs.total
