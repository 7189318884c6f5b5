import pytest

from nin_bench.results.schema import Hypothesis

GRID = "models: [{name: net, depth: [1, 2]}]\nhypotheses:\n"
SIDES = "[{depth: 2}, {depth: 1}]"


def claim(**changes: str) -> str:
    """A hypothesis of one line, its fields as YAML; an empty text leaves one out."""
    fields = {
        "id": "two-beats-one", "says": "Two are better.", "metric": "test_accuracy", "compare": SIDES,
        "expect": "greater", "margin": "0.01", **changes,
    }  # fmt: skip
    return "  - {" + ", ".join(f"{key}: {value}" for key, value in fields.items() if value) + "}\n"


def test_a_hypothesis_names_its_variants(load):
    grid = load(GRID + claim(primary="true") + claim(id="costs", metric="num_params", margin="", factor="2"))
    assert grid.hypotheses == (
        Hypothesis(
            id="two-beats-one",
            claim="Two are better.",
            primary=True,
            metric="test_accuracy",
            compare=("net depth=2", "net depth=1"),
            expect="greater",
            margin=0.01,
        ),
        Hypothesis(
            id="costs",
            claim="Two are better.",
            metric="num_params",
            compare=("net depth=2", "net depth=1"),
            expect="greater",
            factor=2.0,
        ),
    )
    assert grid.resolved("cpu").model_dump(mode="json")["hypotheses"][1] == {
        "id": "costs",
        "claim": "Two are better.",
        "primary": False,
        "metric": "num_params",
        "compare": ["net depth=2", "net depth=1"],
        "minus": None,
        "over": None,
        "points": [],
        "kinds": None,
        "expect": "greater",
        "margin": None,
        "factor": 2.0,
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"says": ""}, "6:5: hypotheses[0]: lacks 'claim'; add it"),
        (
            {"compare": ""},
            "6:5: hypotheses[0]: compare: missing; give two patterns, or "
            "the pattern of one variant (of) and two kinds",
        ),
        ({"says": "''"}, "6:31: hypotheses[0].says: '' is not text; write a sentence"),
        (
            {"id": "Two Beats"},
            "6:10: hypotheses[0].id: 'Two Beats' is not a short name; "
            "use small letters, digits, - and _, at most 64",
        ),
        (
            {"metric": "test_acuracy"},
            "6:56: hypotheses[0].metric: unknown metric 'test_acuracy'; did you mean 'test_accuracy'? Known: "
            "escape_epoch, escaped, failed, generalisation_gap, latency_p50_seconds, num_macs, num_params, "
            "observed_images_per_second, peak_memory_bytes, predict_images_per_second, target_epoch, "
            "test_accuracy, test_balanced_accuracy, test_calibration_error, test_loss, test_macro_f1, "
            "test_top5_accuracy, train_accuracy, train_images_per_second, train_joules_per_image, train_loss, "
            "train_memory_bytes, train_seconds, train_tensor_bytes, validation_accuracy, validation_loss",
        ),
        ({"metric": "[test_accuracy]"}, "6:56: hypotheses[0].metric: a list cannot stand here; give one value"),
        (
            {"expect": "more"},
            "6:114: hypotheses[0].expect: unknown expect 'more'; Known: equivalent, greater, less",
        ),
        (
            {"margin": ""},
            "6:5: hypotheses[0]: margin: none is given, nor a factor; give a margin (a difference) or a factor "
            "(a ratio)",
        ),
        (
            {"factor": "2"},
            "6:145: hypotheses[0].factor: given beside a margin; keep one of them",
        ),
        ({"margin": "-1"}, "6:131: hypotheses[0].margin: -1 is not in range; use 0 or more"),
        ({"margin": "", "factor": "1"}, "6:131: hypotheses[0].factor: 1 is no factor; use a number above 1"),
        (
            {"expect": "equivalent", "margin": "0"},
            "6:134: hypotheses[0].margin: 0 leaves nothing to be equivalent within; use a margin above 0",
        ),
        (
            {"compare": "net"},
            "6:80: hypotheses[0].compare: 'net' is not a list; put brackets around it, "
            "or begin a line with a dash",
        ),
        ({"compare": "[{depth: 1}]"}, "6:80: hypotheses[0].compare: 1 given; give exactly 2"),
        (
            {"compare": "[{depth: 1}, {name: net, depth: 1}]"},
            "6:80: hypotheses[0].compare: both sides are 'net depth=1'; compare two variants",
        ),
        (
            {"compare": "[{depth: 1}, {name: net}]"},
            "6:93: hypotheses[0].compare[1]: matches 2 variants, "
            "must match exactly one of: net depth=1; net depth=2",
        ),
        (
            {"compare": "[{depth: 1}, {depth: 3}]"},
            "6:93: hypotheses[0].compare[1]: matches 0 variants, "
            "must match exactly one of: net depth=1; net depth=2",
        ),
        (
            {"match": "{}"},
            "6:137: hypotheses[0].match: unknown field 'match'; Known: "
            "claim, compare, expect, factor, id, kinds, margin, metric, minus, of, over, primary",
        ),
    ],
)
def test_a_wrong_hypothesis_is_answered_at_its_place(refusal, changes, message):
    assert refusal(GRID + claim(**changes)) == f"grid.yaml:{message}"


def test_an_id_stands_for_one_hypothesis(refusal):
    assert refusal(GRID + claim() + claim(expect="less")) == (
        "grid.yaml:7:10: hypotheses[1].id: 'two-beats-one' is used twice; give each of the hypotheses its own id"
    )


def test_hypotheses_are_a_list(refusal):
    assert refusal("models: [{name: net}]\nhypotheses: {id: a}\n") == (
        "grid.yaml:5:13: hypotheses: a mapping is not a list; put brackets around it, or begin a line with a dash"
    )


# Kinds of layers, differences of differences, and claims over an axis

FOUR = "models: [{name: net, depth: [1, 2], head: [gap, fc]}]\nhypotheses:\n"
SIZES = "recipe: {lr: [0.1, 0.2, 0.4]}\nmodels: [{name: net, depth: [1, 2]}]\nhypotheses:\n"
KINDS = {"compare": "", "of": "{depth: 2}", "kinds": "[pointwise, convolution]", "metric": "num_params"}


def test_an_interaction_is_a_difference_less_another(load):
    (found,) = load(
        FOUR
        + claim(
            compare="[{depth: 2, head: gap}, {depth: 1, head: gap}]",
            minus="[{depth: 2, head: fc}, {depth: 1, head: fc}]",
        )
    ).hypotheses
    assert found.compare == ("net depth=2 head=gap", "net depth=1 head=gap")
    assert found.minus == ("net depth=2 head=fc", "net depth=1 head=fc")
    assert (found.over, found.points, found.kinds) == (None, (), None)


def test_a_claim_over_an_axis_has_a_pair_for_each_of_its_values(load):
    (found,) = load(SIZES + claim(over="recipe.lr")).hypotheses
    assert found.over == "recipe.lr"
    assert [(point.value, point.compare, point.minus) for point in found.points] == [
        (0.1, ("net depth=2 lr=0.1", "net depth=1 lr=0.1"), None),
        (0.2, ("net depth=2 lr=0.2", "net depth=1 lr=0.2"), None),
        (0.4, ("net depth=2 lr=0.4", "net depth=1 lr=0.4"), None),
    ]
    assert found.compare == found.points[0].compare


def test_the_axis_may_be_an_argument_and_the_claim_an_interaction(load):
    (found,) = load(
        "models: [{name: net, depth: [1, 2, 3], head: [gap, fc], relu: [on, off]}]\nhypotheses:\n"
        + claim(
            over="depth",
            compare="[{head: gap, relu: on}, {head: fc, relu: on}]",
            minus="[{head: gap, relu: off}, {head: fc, relu: off}]",
        )
    ).hypotheses
    assert [point.value for point in found.points] == [1, 2, 3]
    assert found.points[2].minus == ("net depth=3 head=gap relu=false", "net depth=3 head=fc relu=false")


def test_kinds_of_layers_are_compared_within_one_variant(load):
    (found,) = load(GRID + claim(**KINDS)).hypotheses
    assert found.compare == ("net depth=2", "net depth=2")
    assert found.kinds == ("pointwise", "convolution")


SAME = "[{depth: 2, head: gap}, {depth: 1, head: gap}]"


@pytest.mark.parametrize(
    ("grid", "changes", "place", "message"),
    [
        (GRID, KINDS | {"kinds": ""}, "", "kinds: missing; give two of convolution, pointwise, dense, other"),
        (GRID, KINDS | {"of": ""}, "", "of: missing; give a pattern of the variant"),
        (GRID, KINDS | {"compare": SIDES}, ".compare", "does not go with kinds"),
        (GRID, KINDS | {"over": "depth"}, ".over", "does not go with kinds"),
        (GRID, KINDS | {"kinds": "[dense, dense]"}, ".kinds", "both are 'dense'; give two kinds"),
        (GRID, KINDS | {"kinds": "[dense]"}, ".kinds", "1 given; give exactly 2"),
        (GRID, KINDS | {"kinds": "[dens, other]"}, ".kinds[0]", "unknown kinds 'dens'; did you mean 'dense'?"),
        (GRID, KINDS | {"metric": "test_loss"}, ".metric", "test_loss is not shared out among layers; use "),
        (GRID, KINDS | {"margin": "10"}, ".margin", "10, but kinds are compared by their shares"),
        (GRID, KINDS | {"of": "{name: net}"}, ".of", "matches 2 variants, must match exactly one of"),
        (GRID, {"of": "{depth: 1}"}, "", "kinds: missing; give two of"),
        (FOUR, {"compare": SAME, "minus": SAME}, ".minus", "the same two as in compare"),
        (FOUR, {"compare": SAME, "minus": "[{depth: 2, head: fc}, {depth: 2, head: fc}]"}, ".minus",
         "both sides are 'net depth=2 head=fc'; compare two variants"),
        (FOUR, {"compare": SAME, "minus": "[{depth: 2, head: fc}, {depth: 3}]"}, ".minus[1]", "matches 0 "),
        (FOUR, {"compare": SAME, "minus": "[{depth: 2, head: fc}]"}, ".minus", "1 given; give exactly 2"),
        (FOUR, {"compare": SAME, "minus": SAME, "margin": "", "factor": "2"}, ".factor", "goes with no "),
        (FOUR, {"compare": SAME, "minus": SAME, "metric": "latency_p50_seconds"}, ".minus", "latency_p5"),
        (GRID, {"metric": "failed", "margin": "", "factor": "2"}, ".factor", "failed is a share of networks"),
        (SIZES, {"over": "lr"}, ".over", "unknown axis 'lr'; Known: depth, recipe.lr"),
        (SIZES, {"over": "recipe.epochs"}, ".over", "unknown axis 'recipe.epochs'; "),
        (SIZES, {"over": "depth", "compare": "[{depth: 2}, {recipe: {lr: 0.1}}]"}, ".compare[0]",
         "names depth, whose values `over` takes in turn; leave it out"),
        (SIZES, {"over": "recipe.lr", "compare": "[{depth: 2}, {name: net}]"}, ".compare[1]",
         "matches 2 variants with recipe.lr = 0.1, must match exactly one of: net depth=1 lr=0.1; "),
        (SIZES, {"over": "recipe.lr", "compare": "[{depth: 2}, {depth: 3}]"}, ".compare[1]",
         "matches variants with 0 values of recipe.lr; match one for each of several"),
        ("exclude: [{depth: 1, recipe: {lr: 0.2}}]\n" + SIZES, {"over": "recipe.lr"}, ".compare[1]",
         "one side has a variant with recipe.lr = 0.2, another has none; exclude it"),
        (SIZES, {"over": "[depth]"}, ".over", "a list cannot stand here; give one value"),
    ],
)  # fmt: skip
def test_a_wrong_new_claim_is_answered_at_its_place(refusals, grid, changes, place, message):
    told = refusals(grid + claim(**changes))
    assert told[0].partition(" ")[2].startswith(f"hypotheses[0]{place}: {message}")
    assert len(told) == 1


# References

REFERRED = "models: [{name: net, depth: [1, 2]}]\n"
FIELDS = "id: paper, says: It is 0.9., metric: test_accuracy, model: {depth: 1}, value: 0.9, source: a paper"


def test_a_reference_is_read_with_the_label_of_its_variant(load):
    grid = load(
        f"{REFERRED}references: [{{{FIELDS}, n: 5, sd: 0.01, url: https://example.org/p, differs: much}}]\n"
    )
    (found,) = grid.resolved("cpu").references
    assert found.model_dump() == {
        "id": "paper", "claim": "It is 0.9.", "metric": "test_accuracy", "model": "net depth=1", "value": 0.9,
        "n": 5, "sd": 0.01, "source": "a paper", "url": "https://example.org/p", "differs": "much",
    }  # fmt: skip


def test_a_single_run_is_the_default(load):
    (reference,) = load(f"{REFERRED}references: [{{{FIELDS}}}]\n").references
    assert (reference.n, reference.sd, reference.url, reference.differs) == (1, None, None, None)


@pytest.mark.parametrize(
    ("more", "answer"),
    [
        (", sd: 0.01", "references[0].sd: 0.01, but one network has no spread; give n as well, or leave it out"),
        (", n: 3, sd: 0", "references[0].sd: 0 says that seeds change nothing; leave it out"),
        (", n: 0", "references[0].n: 0 is not in range; use 1 or more"),
        (", url: ftp://x", "references[0].url: 'ftp://x' is no address; begin it with https://, or leave it out"),
        (", yaer: 2013", "references[0].yaer: unknown field 'yaer'"),
    ],
)
def test_a_wrong_reference_is_refused_at_its_place(refusal, more, answer):
    told = refusal(f"{REFERRED}references: [{{{FIELDS}{more}}}]\n")
    assert told.startswith("grid.yaml:5:")
    assert answer in told


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        (("test_accuracy", "accuracy"), "references[0].metric: unknown metric 'accuracy'"),
        (("{depth: 1}", "{name: net}"), "references[0].model: matches 2 variants, must match exactly one of"),
        ((", source: a paper", ""), "references[0]: lacks 'source'; add it"),
    ],
)
def test_what_cannot_be_held_against_anything_is_refused(refusal, change, answer):
    assert answer in refusal(f"{REFERRED}references: [{{{FIELDS.replace(*change)}}}]\n")


def test_an_id_is_given_once(refusal):
    told = refusal(f"{REFERRED}references: [{{{FIELDS}}}, {{{FIELDS}}}]\n")
    assert told.endswith("'paper' is used twice; give each of the references its own id")


def test_open_claims_have_a_reason(load, refusal):
    grid = load(f"{REFERRED}open_claims: [{{says: It is deep., reason: Nobody measured.}}]\n")
    assert [one.model_dump() for one in grid.open_claims] == [
        {"claim": "It is deep.", "reason": "Nobody measured."}
    ]
    assert refusal(f"{REFERRED}open_claims: [{{says: It is deep.}}]\n").endswith(
        "open_claims[0]: lacks 'reason'; add it"
    )


def test_assumptions_are_by_metric(load, refusal):
    grid = load(f"{REFERRED}assume: {{test_loss: {{sd: 0.1, correlation: 0.5}}}}\n")
    assert grid.assume["test_loss"].sd_of_differences == pytest.approx(0.1)
    assert "unknown field 'num_params'" in refusal(f"{REFERRED}assume: {{num_params: {{sd: 1}}}}\n")
    assert refusal(f"{REFERRED}assume: {{test_loss: {{sd: 0}}}}\n").endswith("0 is not in range; use more than 0")
    assert "use less than 1" in refusal(f"{REFERRED}assume: {{test_loss: {{sd: 1, correlation: 1}}}}\n")


def test_no_pattern_of_a_reference_names_what_is_searched(refusal):
    told = refusal(
        f"{REFERRED}references: [{{{FIELDS}}}]\nsearch: {{space: {{model.depth: [1, 2]}}, trials: 2}}\n"
    )
    assert "is searched, so no pattern can name it" in told


def test_caveats_are_sentences(load, refusal):
    assert load(f"{REFERRED}caveats: [Rates were guessed.]\n").caveats == ("Rates were guessed.",)
    assert refusal(f"{REFERRED}caveats: [3]\n").endswith(
        "caveats[0]: 3 is not text; put it in quotes if it is meant so"
    )
