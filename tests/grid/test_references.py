import pytest

MODELS = "models: [{name: net, depth: [1, 2]}]\n"
FIELDS = "id: paper, says: It is 0.9., metric: test_accuracy, model: {depth: 1}, value: 0.9, source: a paper"


def test_a_reference_is_read_with_the_label_of_its_variant(load):
    grid = load(f"{MODELS}references: [{{{FIELDS}, n: 5, sd: 0.01, url: https://example.org/p, differs: much}}]\n")
    (entry,) = grid.as_dict()["references"]
    assert entry == {
        "id": "paper", "claim": "It is 0.9.", "metric": "test_accuracy", "model": "net depth=1", "value": 0.9,
        "n": 5, "sd": 0.01, "source": "a paper", "url": "https://example.org/p", "differs": "much",
    }  # fmt: skip


def test_a_single_run_is_the_default(load):
    (reference,) = load(f"{MODELS}references: [{{{FIELDS}}}]\n").references
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
    told = refusal(f"{MODELS}references: [{{{FIELDS}{more}}}]\n")
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
    assert answer in refusal(f"{MODELS}references: [{{{FIELDS.replace(*change)}}}]\n")


def test_an_id_is_given_once(refusal):
    told = refusal(f"{MODELS}references: [{{{FIELDS}}}, {{{FIELDS}}}]\n")
    assert told.endswith("'paper' is used twice; give each of the references its own id")


def test_open_claims_have_a_reason(load, refusal):
    grid = load(f"{MODELS}open_claims: [{{says: It is deep., reason: Nobody measured.}}]\n")
    assert grid.as_dict()["open_claims"] == [{"claim": "It is deep.", "reason": "Nobody measured."}]
    assert refusal(f"{MODELS}open_claims: [{{says: It is deep.}}]\n").endswith(
        "open_claims[0]: lacks 'reason'; add it"
    )


def test_assumptions_are_by_metric(load, refusal):
    grid = load(f"{MODELS}assume: {{test_loss: {{sd: 0.1, correlation: 0.5}}}}\n")
    assert grid.assume["test_loss"].sd_of_differences == pytest.approx(0.1)
    assert "unknown field 'num_params'" in refusal(f"{MODELS}assume: {{num_params: {{sd: 1}}}}\n")
    assert refusal(f"{MODELS}assume: {{test_loss: {{sd: 0}}}}\n").endswith("0 is not in range; use more than 0")
    assert "use less than 1" in refusal(f"{MODELS}assume: {{test_loss: {{sd: 1, correlation: 1}}}}\n")


def test_no_pattern_of_a_reference_names_what_is_searched(refusal):
    told = refusal(f"{MODELS}references: [{{{FIELDS}}}]\nsearch: {{space: {{model.depth: [1, 2]}}, trials: 2}}\n")
    assert "is searched, so no pattern can name it" in told


def test_caveats_are_sentences(load, refusal):
    assert load(f"{MODELS}caveats: [Rates were guessed.]\n").as_dict()["caveats"] == ["Rates were guessed."]
    assert refusal(f"{MODELS}caveats: [3]\n").endswith(
        "caveats[0]: 3 is not text; put it in quotes if it is meant so"
    )
