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
    assert grid.as_dict()["hypotheses"][1] == {
        "id": "costs",
        "claim": "Two are better.",
        "primary": False,
        "metric": "num_params",
        "compare": ["net depth=2", "net depth=1"],
        "expect": "greater",
        "margin": None,
        "factor": 2.0,
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"says": ""}, "6:5: hypotheses[0]: lacks 'claim'; add it"),
        ({"compare": ""}, "6:5: hypotheses[0]: lacks 'compare'; add it"),
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
            "observed_images_per_second, peak_memory_bytes, predict_images_per_second, test_accuracy, "
            "test_balanced_accuracy, test_calibration_error, test_loss, test_macro_f1, test_top5_accuracy, "
            "train_accuracy, train_images_per_second, train_joules_per_image, train_loss, train_memory_bytes, "
            "train_seconds, train_tensor_bytes, validation_accuracy, validation_loss",
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
            "claim, compare, expect, factor, id, margin, metric, primary",
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
