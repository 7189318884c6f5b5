import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nin_bench.analysis.search.studies import Trial, read_search
from nin_bench.errors import ResultsError
from nin_bench.results.studies import Range
from tests.search_fixture import failed, pruned, run, sweep, trial, write_search

AT = {"lr": 0.1}
FELL_BACK = run(0.1, escaped=True)


def read_trial(folder: Path, made: dict[str, Any]) -> Trial:
    [study] = read_search(write_search(folder, {"a": [made]})).studies
    return study.trials[0]


def change(path: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_a_search_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = write_search(tmp_path / "s", {"a": [trial(0, AT, [0.8, 0.9])], "b": None}, trials=3)
    search = read_search(folder)
    config = search.config
    assert (config.name, config.profile, config.storage) == ("lr_search", "cpu", "sqlite")
    assert search.settings.space == {"lr": Range(low=0.001, high=1.0, log=True)}
    assert [study.label for study in search.studies] == ["a", "b"]
    assert [len(study.trials) for study in search.studies] == [1, 0]
    best = search.studies[0].best_trial
    assert best is not None
    assert best.value == pytest.approx(0.85)
    assert [made.measured("validation_accuracy") for made in best.runs] == [0.8, 0.9]
    assert [made.measured("validation_loss") for made in best.runs] == pytest.approx([0.763, 0.543])
    assert search.studies[1].best_trial is None
    assert search.left_out == []


@pytest.mark.parametrize(
    ("made", "counts", "learned"),
    [
        (trial(0, AT, [0.8, 0.9]), True, True),
        (trial(0, AT, [0.8, 0.1]), True, False),
        (trial(0, AT, [0.8, None]), True, False),
        (trial(0, AT, [], runs=[run(0.8, escaped=None)]), True, True),  # too few steps to tell
        (trial(0, AT, [], runs=[run(0.8), FELL_BACK]), True, False),
        (trial(0, AT, [0.8, 0.9], value=None), False, True),
        (pruned(0, AT, [0.8, 0.9]), True, False),
        (failed(0, AT), False, False),
    ],
)
def test_a_trial_has_learned_if_every_seed_has(
    tmp_path: Path, made: dict[str, Any], counts: bool, learned: bool
) -> None:
    found = read_trial(tmp_path / "s", made)
    assert (found.counts, found.learned) == (counts, learned)


@pytest.mark.parametrize(
    ("state", "made", "learned"),
    [
        ("complete", run(0.8), True),
        ("complete", run(0.1), False),
        ("complete", run(None), False),
        ("complete", run(0.8, escaped=None), None),
        ("pruned", run(0.8), True),
        ("pruned", run(0.1), None),  # it might have left chance level later
        ("pruned", run(None), False),
        ("complete", FELL_BACK, False),
        ("pruned", FELL_BACK, None),
        ("complete", run(0.12, loss=2.15, escaped=True), True),
        ("complete", run(None, outcome="trained"), None),  # nothing is kept of its epochs
    ],
)
def test_a_seed_has_learned_if_it_escaped_and_is_not_back_at_chance_level(
    tmp_path: Path, state: str, made: dict[str, Any], learned: bool | None
) -> None:
    found = read_trial(tmp_path / "s", trial(0, AT, [], state=state, runs=[made]))
    assert found.has_learned(found.runs[0]) is learned


@pytest.mark.parametrize(
    ("state", "accuracies", "at_chance"),
    [
        ("complete", [0.8, 0.1], True),
        ("complete", [0.8, 0.8], False),
        ("complete", [None, 0.1], False),
        ("pruned", [0.8, 0.1], False),
    ],
)
def test_a_trial_ends_at_chance_if_a_seed_does_and_none_diverges(
    tmp_path: Path, state: str, accuracies: list[float | None], at_chance: bool
) -> None:
    assert read_trial(tmp_path / "s", trial(0, AT, accuracies, state=state)).ended_at_chance is at_chance


def test_a_seed_that_diverged_has_no_accuracy_whatever_it_had_reached() -> None:
    found = Trial.model_validate(trial(0, AT, [], runs=[run(0.7, outcome="diverged"), run(0.7)]))
    assert [made.measured("validation_accuracy") for made in found.runs] == [None, 0.7]
    assert [made.measured("validation_loss") for made in found.runs] == [None, pytest.approx(0.983)]


def test_trials_may_be_as_long_as_each_variant_s_run(tmp_path: Path) -> None:
    folder = write_search(tmp_path / "s", {"a": None}, epochs=None)
    assert read_search(folder).settings.epochs is None


def test_a_folder_without_a_search_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="nothing was searched here"):
        read_search(tmp_path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda file: file.pop("question"), "question: field required"),
        (lambda file: file.update(schema=9), "is of schema 9; this version reads "),
        (lambda file: file["search"].pop("seeds"), "search.seeds: field required"),
        (lambda file: file["search"].update(objective="test_accuracy"), "search.objective: input should be"),
        (lambda file: file["search"]["space"]["lr"].update(low=2.0), "2 to 1 is no range on a log scale"),
        (lambda file: file["search"]["space"]["lr"].update(low=0), "0 to 1 is no range on a log scale"),
        (lambda file: file["variants"][0].update(variant_id="../x"), "variants.0.variant_id: string should match"),
        (lambda file: file.pop("chance_loss"), "chance_loss: field required"),
        (lambda file: file.update(chance_loss=0.0), "chance_loss: input should be greater than 0"),
        (lambda file: file.update(variants=[]), "variants: tuple should have at least 1 item"),
    ],
)
def test_a_search_file_that_lacks_something_is_refused_in_one_line(
    tmp_path: Path, edit: Callable[[dict[str, Any]], Any], message: str
) -> None:
    folder = write_search(tmp_path / "s", {"a": sweep([0.8] * 6)})
    change(folder / "search.json", edit)
    with pytest.raises(ResultsError) as refused:
        read_search(folder)
    assert message in str(refused.value)
    assert "search.json" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda study: study["trials"][0].pop("number"), "(trials.0.number: field required)"),
        (lambda study: study["trials"][0].update(state="running"), "(trials.0.state: input should"),
        (lambda study: study["trials"][0].update(params={}), "lacks the lr of trial 0"),
        (lambda study: study["trials"][0].update(params={"lr": "high"}), "has the lr 'high' in trial 0"),
        (lambda study: study["trials"][0].update(params={"lr": -1.0}), "has the lr -1.0 in trial 0"),
        (lambda study: study["best"].update(number=7), "best.number: 7 is none of the trials"),
        (lambda study: study.update(study_name="other/cpu/v00"), "holds another study, 'other/cpu/v00'"),
        (lambda study: study.update(schema=9), "is of schema 9"),
    ],
)
def test_a_study_that_cannot_be_used_is_left_out_and_named(
    tmp_path: Path, edit: Callable[[dict[str, Any]], Any], reason: str
) -> None:
    folder = write_search(tmp_path / "s", {"a": sweep([0.8] * 6), "b": sweep([0.7] * 6)})
    change(folder / "studies" / "v00.json", edit)
    search = read_search(folder)
    assert [len(study.trials) for study in search.studies] == [0, 6]
    [sentence] = search.left_out
    assert sentence.startswith("studies/v00.json was left out: it ")
    assert reason in sentence


def test_a_torn_study_and_foreign_ones_are_named(tmp_path: Path) -> None:
    folder = write_search(tmp_path / "s", {"a": sweep([0.8] * 6)})
    (folder / "studies" / "v00.json").write_text('{"schema": 1, "trials": [')
    (folder / "studies" / "v99.json").write_text("{}")
    assert [sentence[:52] for sentence in read_search(folder).left_out] == [
        "studies/v00.json was left out: it is not whole JSON ",
        "Left out were the studies of variants that this sear",
    ]


def test_a_choice_that_was_not_offered_is_no_trial_of_this_search(tmp_path: Path) -> None:
    made = trial(0, {"init": "other"}, [0.8, 0.8])
    search = read_search(write_search(tmp_path / "s", {"a": [made]}, space={"init": ["default", "normal"]}))
    assert search.left_out == ["studies/v00.json was left out: it has the init 'other' in trial 0."]
