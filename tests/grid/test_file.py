import pytest

MODELS = "models: [{name: net, depth: [1, 2]}]\n"


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("schema: 1\n", "1:1: lacks 'name'; add it"),
        ("schema: 1\nname: on\n", "2:7: name: true is not text; put it in quotes if it is meant so"),
        ("schema: 1\nname: ../x\n", "2:7: name: '../x' is not a short name; use small letters, digits, - and _"),
        ("schema: 1\nname: x\nmodel: []\n", "3:1: model: unknown field 'model'; did you mean 'models'? Known: "),
    ],
)
def test_what_is_no_grid_is_refused(refusals, head, message):
    assert any(told.startswith(f"grid.yaml:{message}") for told in refusals(MODELS, head=head))


@pytest.mark.parametrize(
    ("profiles", "message"),
    [
        ("[cpu]", "5:11: profiles: a list is not a section; write a mapping of fields"),
        ("{full: {}}", "5:12: profiles.full: 'full' cannot name a profile"),
        ("\n  My CPU:\n    seeds: 1", "6:3: profiles.My CPU: 'My CPU' is not a short name; use small letters"),
        ("{cpu: 3}", "5:17: profiles.cpu: 3 is not a profile; write a mapping of fields"),
        ("{cpu: {name: other}}", "5:18: profiles.cpu.name: unknown field 'name'; "),
        ("{gpu: {recipe: {epochs: 0}}}", "5:35: profiles.gpu.recipe.epochs: 0 is not in range; use 1 or more"),
    ],
)
def test_a_wrong_profile_is_refused_whichever_is_chosen(refusal, profiles, message):
    assert refusal(f"{MODELS}profiles: {profiles}\n").startswith(f"grid.yaml:{message}")


def test_a_profile_need_not_hold_a_whole_section(load):
    text = f"{MODELS}search: {{trials: 2}}\nprofiles: {{cpu: {{search: {{space: {{lr: [0.1, 0.2]}}}}}}}}\n"
    assert load(text, profile="cpu").search.trials == 2


CLAIM = "id: a, claim: b, compare: [{depth: 2}, {depth: 1}]"
REFERENCE = "id: a, says: b, model: {depth: 1}, source: c"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"hypotheses: [{{{CLAIM}, metric: test_accuracy, expect: greater, margin: 1}}]",
         "hypotheses[0].margin: 1, but test_accuracy is a share, from 0 to 1; one point is 0.01"),
        (f"hypotheses: [{{{CLAIM}, metric: escaped, expect: less, margin: 5}}]", "hypotheses[0].margin: 5, but "),
        (f"references: [{{{REFERENCE}, metric: test_accuracy, value: 88.0}}]", "references[0].value: 88, but "),
        ("assume: {test_accuracy: {sd: 1.0}}", "assume.test_accuracy.sd: 1, but test_accuracy is a share"),
    ],
)  # fmt: skip
def test_a_share_given_in_points_is_refused(refusal, text, message):
    assert f": {message}" in refusal(f"{MODELS}{text}\n")


def test_what_is_no_share_may_be_any_number(load):
    grid = load(
        f"{MODELS}hypotheses: [{{{CLAIM}, metric: test_loss, expect: less, margin: 1}}]\n"
        f"references: [{{{REFERENCE}, metric: test_accuracy, value: 1}}]\nassume: {{test_loss: {{sd: 2}}}}\n"
    )
    assert grid.hypotheses[0].margin == 1


def test_a_hypothesis_says_its_claim_in_either_word(load, refusals):
    text = f"hypotheses: [{{{CLAIM}, metric: test_loss, expect: less, margin: 0}}]\n"
    assert load(MODELS + text).hypotheses == load(MODELS + text.replace("claim", "says")).hypotheses
    assert len(refusals(MODELS + text.replace("claim: b", "claim: b, says: b"))) == 1


@pytest.mark.parametrize(
    ("probes", "message"),
    [
        ("{shift: 2}", "probes.shift: 2 is not a list; put brackets around it"),
        ("{shift: [2, 0]}", "probes.shift: a list is not ascending; sort the values"),
        ("{shift: [0, 99]}", "probes.shift[1]: 99 leaves nothing of images of 8×8; use less than 8"),
        ("{resolution: [0, 8]}", "probes.resolution[0]: 0 is not in range; use 1 or more"),
        ("{class_maps: 21}", "probes.class_maps: 21 is not in range; use 20 or less"),
        ("{class_maps: two}", "probes.class_maps: 'two' is not a whole number"),
        ("{shifts: [2]}", "probes.shifts: unknown field 'shifts'; did you mean 'shift'?"),
        ("[2]", "probes: a list is not a section"),
    ],
)
def test_probes_that_cannot_be_asked_are_refused(refusal, probes, message):
    assert f": {message}" in refusal(f"{MODELS}probes: {probes}\n")


def test_probes_are_no_part_of_a_cell_and_a_profile_may_change_them(load):
    text = f"{MODELS}probes: {{shift: [0, 2], class_maps: 3}}\nprofiles: {{cpu: {{probes: {{shift: [4]}}}}}}\n"
    full, cpu, plain = load(text, profile="full"), load(text, profile="cpu"), load(MODELS)
    assert (full.probes.shift, cpu.probes.shift, cpu.probes.class_maps) == ((0, 2), (4,), 3)
    assert [cell.cell_id for cell in full.cells] == [cell.cell_id for cell in plain.cells]
    assert full.resolved("cpu").probes == full.probes
    assert plain.probes is None


@pytest.mark.parametrize("target", ["0", "1", "85.0", "high"])
def test_a_target_is_a_share(load, refusal, target):
    assert "target: " in refusal(f"{MODELS}target: {target}\n")
    assert load(f"{MODELS}target: 0.85\n").resolved("cpu").target == 0.85
