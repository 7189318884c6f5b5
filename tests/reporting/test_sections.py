"""What the sections of a report say, as blocks: values and structure. Wording is pinned in the golden pages."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nin_bench.analysis.analysis import Analysis, analyse
from nin_bench.analysis.names import Names
from nin_bench.reporting.blocks import Block, Bullets, Details, Paragraph, Section, Table, plain
from nin_bench.reporting.sections import cells, checklist, claims, networks, probes, setting, summary
from nin_bench.results import load_results
from nin_bench.results.schema import ResolvedVariant
from tests.predictions_fixture import ONE_WRONG, PERFECT, stored
from tests.probes_fixture import write_probed
from tests.report_fixture import COLLAPSED, locked, metrics, record, write_results

CLAIM = {
    "id": "better", "claim": "A is better.", "primary": True, "metric": "test_accuracy", "compare": ["a", "b"],
    "expect": "greater", "margin": 0.01, "factor": None,
}  # fmt: skip
SMALLER = {**CLAIM, "id": "smaller", "metric": "num_params", "expect": "less", "margin": None, "factor": 2.0}
SIX = [record(metrics=metrics(accuracy)) for accuracy in (0.90, 0.91, 0.92, 0.93, 0.94, 0.95)]
FAILED = record(metrics=metrics(0.1, **COLLAPSED))


def analysed(folder: Path, variants: dict[str, list[Any]], **grid: Any) -> Analysis:
    return analyse(load_results(write_results(folder, variants, **grid)))


def walk(blocks: Iterable[Block]) -> Iterator[Block]:
    """Every block, those within others too."""
    for block in blocks:
        yield block
        if isinstance(block, Section | Details):
            yield from walk(block.blocks)


def tables(blocks: list[Block]) -> list[Table]:
    return [block for block in walk(blocks) if isinstance(block, Table)]


def rows(table: Table) -> list[list[str]]:
    return [[plain(cell) for cell in row] for row in table.rows]


def sentences(blocks: list[Block]) -> list[str]:
    found = [block.text for block in walk(blocks) if isinstance(block, Paragraph)]
    found += [item for block in walk(blocks) if isinstance(block, Bullets) for item in block.items]
    return [plain(text) for text in found]


def test_the_first_screen_has_a_line_for_each_variant(tmp_path: Path) -> None:
    variants = {"a": SIX, "b": [*SIX[:2], FAILED, record("diverged", metrics=metrics(0.1)), None, None]}
    analysis = analysed(tmp_path / "r", variants, baseline="a")
    [table] = summary.variant_table(analysis)
    assert table.headings == (
        "variant",
        "test accuracy, %",
        "failed",
        "lost a class",
        "parameters",
        "training seconds",
    )
    assert rows(table) == [
        ["a (baseline)", "92.5 ± 1.9 (n=6)", "0 of 6", "0 of 6", "1.99 M", "90.0"],
        ["b", "63.7 ± 46.5 (n=3)", "2 of 4", "1 of 3", "1.99 M", "90.0"],
    ]


def test_few_headlines_stand_first_primary_ones_before_others_and_counts(tmp_path: Path) -> None:
    primary = [{**CLAIM, "id": f"p{number}", "claim": f"p{number}."} for number in range(5)]
    others = [{**CLAIM, "id": "s", "primary": False}, {**SMALLER, "primary": False}]
    analysis = analysed(tmp_path / "r", {"a": SIX, "b": SIX}, hypotheses=[*others, *primary])
    bullets, rest = summary.headlines(analysis)
    assert isinstance(bullets, Bullets)
    assert [plain(item)[:2] for item in bullets.items] == ["p0", "p1", "p2", "p3", "p4"]
    assert isinstance(rest, Paragraph)
    assert plain(rest.text).startswith("Of 2 more claims: 2 refuted.")
    assert summary.headlines(analysed(tmp_path / "none", {"a": SIX})) == []


def test_published_values_stand_on_the_first_screen_where_claims_leave_room(tmp_path: Path) -> None:
    published = {"id": "builds", "claim": "It is 0.88.", "metric": "test_accuracy", "model": "a", "value": 0.88}
    published |= {"n": 82, "sd": 0.005, "source": "builds", "url": None, "differs": None}
    claims_told = [{**CLAIM, "id": f"p{number}"} for number in range(4)]
    for told, num_bullets in [([], 1), (claims_told, 5), ([*claims_told, {**CLAIM, "id": "p4"}], 5)]:
        grid = {"hypotheses": told, "references": [published]}
        bullets = summary.headlines(analysed(tmp_path / str(len(told)), {"a": SIX, "b": SIX}, **grid))[0]
        assert isinstance(bullets, Bullets)
        shown = [plain(item) for item in bullets.items]
        assert len(shown) == num_bullets
        assert ("Here: 92.5 % ± 1.9 (n=6). The means differ by +2.5 to +6.5 points (95 %)." in shown[-1]) == (
            len(told) < 5
        )


def test_counts_stand_apart_and_without_a_test(tmp_path: Path) -> None:
    b = [record(metrics=metrics(0.8, num_params=8_000_000))] * 6
    blocks = claims.claims(analysed(tmp_path / "r", {"a": SIX, "b": b}, hypotheses=[CLAIM, SMALLER]))
    tested, counted = tables(blocks)
    assert rows(tested) == [
        ["better: A is better.", "supported", "test accuracy: a − b", "+12.5 points",
         "+10.0 to +15.0 (95 %)", "above 1 point", "6, signed-rank", "0 / 0", "0 / 0"],
    ]  # fmt: skip
    assert rows(counted) == [
        [
            "smaller: A is better.",
            "supported",
            "parameters: a / b",
            "1,992,166",
            "8,000,000",
            "×0.249",
            "below ×1/2",
        ]
    ]
    assert not any("p =" in text or "p-value" in text for text in sentences(blocks))


def test_a_claim_about_networks_that_failed_has_its_effect(tmp_path: Path) -> None:
    [table] = tables(claims.claims(analysed(tmp_path / "r", {"a": SIX, "b": [FAILED] * 6}, hypotheses=[CLAIM])))
    [row] = rows(table)
    assert row[1:5] == ["supported", "test accuracy: a − b", "+82.5 points", "+80.0 to +85.0 (95 %)"]
    assert row[-3:] == ["6, sign", "0 / 6", "0 / 6"]


def test_what_became_of_the_lock_is_said(tmp_path: Path) -> None:
    kept, changed = {**CLAIM, "id": "kept"}, {**CLAIM, "margin": 0.0}
    lock = locked([0], [kept, CLAIM, {**CLAIM, "id": "withdrawn"}])
    grid = {"hypotheses": [kept, changed]}
    variants = {"a": SIX[:1], "b": SIX[:1]}
    honest = analysed(tmp_path / "honest", variants, lock=lock, **grid)
    assert "Locked at the first run and withdrawn or changed since: better, withdrawn." in sentences(
        claims.claims(honest)
    )
    assert not any("digest" in text for text in sentences(summary.summary(honest)))
    tampered = analysed(tmp_path / "tampered", variants, lock={**lock, "seeds": [0, 1]}, **grid)
    assert any("digest" in text for text in sentences(summary.summary(tampered)))
    assert [row[1] for row in rows(tables(claims.claims(tampered))[0])] == ["undecided, post hoc, early look"] * 2


def test_what_the_test_images_leave_open_is_one_sentence(tmp_path: Path) -> None:
    both = [{**CLAIM, "id": "first"}, {**CLAIM, "id": "again", "margin": 0.5}]
    found = stored(tmp_path, {"a": [PERFECT, PERFECT], "b": [ONE_WRONG, ONE_WRONG]}, hypotheses=both)
    said = sentences(claims.claims(analyse(load_results(found.results.folder))))
    # one of eight images differs, in both seeds alike: √(1/8 · 7/8 · 8/7 / 8) = 0.125
    assert [text for text in said if "standard error of 12.50 points, other seeds by 0.00." in text]


def test_networks_that_failed_and_cells_that_ended_otherwise_are_named(tmp_path: Path) -> None:
    variants = {"a": [SIX[0], FAILED, record("crashed", error="signal 9"), None]}
    found = networks.failures(analysed(tmp_path / "r", variants))
    [table] = tables(found)
    assert [row[:2] for row in rows(table)] == [["a", "1"], ["a", "2"]]
    assert [row[2].split("; ")[0] for row in rows(table)] == ["failed", "crashed, after 0 whole epochs: signal 9"]
    assert "No record: a, seed 3." in sentences(found)
    assert networks.failures(analysed(tmp_path / "well", {"a": SIX})) == []


@pytest.mark.parametrize(("commit", "said"), [("0123abc", False), ("0123abc+", True), (None, False)])
def test_a_changed_tree_is_said_beside_its_commit(tmp_path: Path, commit: str | None, said: bool) -> None:
    made = record(metrics=metrics(0.9))
    made["environment"] = {**made["environment"], "commit": commit}
    found = setting.caveats(analysed(tmp_path / "r", {"a": [made]}))
    assert any(text.startswith("A commit with a +") for text in found) is said


def test_files_left_out_are_named(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "r", {"a": [SIX[0], None]})
    (folder / "cells" / "c00s1.json").write_text('{"schema": 1, "cell')
    *_, section = setting.setting(analyse(load_results(folder)))
    assert isinstance(section, Section)
    assert section.title == "Left out"
    assert sentences([section])[0].startswith("cells/c00s1.json was left out")


def test_what_differs_between_variants_is_a_table(tmp_path: Path) -> None:
    made = {"a": SIX, "b": SIX}
    found = setting.setting(analysed(tmp_path / "r", made, recipes={"b": {"epochs": 12, "lr": 0.2}}))
    assert ["lr", "0.1", "a"] in rows(tables(found)[1])
    assert "Held fixed: everything in the table; only the models differ." in sentences(
        setting.setting(analysed(tmp_path / "same", made))
    )


def test_matched_controls_say_what_is_left_of_the_difference(tmp_path: Path) -> None:
    cells: dict[str, list[Any]] = {"nin": [SIX[0]], "nin width=1.138": [None]}
    match = {
        "size": "num_params", "to": "nin", "width": 1.138, "target": 1_992_166, "reached": 1_990_844,
        "residue": -1322 / 1_992_166,
    }  # fmt: skip
    folder = write_results(tmp_path / "r", cells)
    grid = json.loads((folder / "grid.json").read_text())
    grid["variants"][1]["match"] = match
    (folder / "grid.json").write_text(json.dumps(grid))
    written = setting.setting(analyse(load_results(folder)))
    [table] = [one for one in tables(written) if "as large as" in one.headings]
    [row] = rows(table)
    assert row[2:] == ["parameters", "1,992,166", "1,990,844", "−0.066 %"]


def test_every_cell_that_has_a_record_is_listed_under_its_id(tmp_path: Path, monkeypatch: Any) -> None:
    analysis = analysed(tmp_path / "r", {"a": [SIX[0], FAILED], "b": [record("crashed", error="boom"), None]})
    [table] = tables(cells.cells(analysis))
    assert table.keys == ("c00s0", "c00s1", "c01s0")
    assert [row[:4] for row in rows(table)] == [
        ["a", "0", "trained", "90.0"], ["a", "1", "failed", "10.0"], ["b", "0", "crashed", "–"],
    ]  # fmt: skip
    facts = cells.cell_facts(analysis)
    assert facts["c01s0"]["cause"].endswith("boom")
    assert facts["c00s0"]["facts"]["parameters"] == "1,992,166"
    monkeypatch.setattr(cells, "MOST_CELLS", 2)
    assert list(cells.cell_facts(analysis)) == ["c00s0", "c00s1"]
    assert any("first 2 of 3" in text for text in sentences(cells.cells(analysis)))


def test_fields_mean_what_the_schema_says() -> None:
    def variant(label: str, lr: float = 0.1, **model: object) -> ResolvedVariant:
        fields = {"variant_id": label, "label": label, "model": model, "data": {"name": "digits"}}
        return ResolvedVariant.model_validate({**fields, "recipe": {"lr": lr}})

    variants = [
        variant("a", name="nin", pointwise=2, head="gap"),
        variant("b", name="nin", pointwise=1, head="fc_maps", lr=0.2),
        variant("c", name="nin", pointwise=2, head="fc_maps"),
        variant("d", name="own", depth=1),
        variant("e", name="own", depth=2),
    ]
    found = setting.explain_arguments(Names.of(variants))
    assert list(found) == ["pointwise", "head"]
    assert found["pointwise"] == "Number of 1×1 layers, after each block's first convolution"
    assert "gap: the last block has a map per class" in found["head"]


def test_probes_have_a_row_for_each_variant_and_change(tmp_path: Path) -> None:
    folder = write_probed(tmp_path / "r")
    (folder / "probes" / "c01s7.json").unlink()
    blocks = probes.probes(analyse(load_results(folder)))
    moved, sizes = tables(blocks)
    assert rows(moved)[1] == ["pooled", "2", "87.7 ± 0.2 (n=8)", "−2.35 points", "−2.70 to −2.00 points"]
    assert rows(sizes) == [
        ["pooled", "99", "88.8 ± 0.1 (n=8)", "−1.18 points", "−1.35 to −1.00 points"],
        ["pooled", "131 (as trained)", "90.0 ± 0.0 (n=8)", "–", "–"],
        ["dense", "99", "not possible", "–", "–"],
        ["dense", "131 (as trained)", "90.0 ± 0.0 (n=7)", "–", "–"],
    ]
    said = sentences(blocks)
    assert "dense: 99×99 is not possible: output (Linear): too few." in said
    assert "No answer: dense, seed 7." in said
    assert sum("Class maps are not possible" in one and one.endswith(": dense.") for one in said) == 1


def test_a_grid_without_probes_has_no_section_of_them(tmp_path: Path) -> None:
    assert probes.probes(analysed(tmp_path / "r", {"a": SIX})) == []


def test_the_checklist_is_answered_from_the_records(tmp_path: Path) -> None:
    analysis = analysed(tmp_path / "r", {"a": [*SIX[:2], record("crashed")], "b": [SIX[2], FAILED, None]})
    [section] = checklist.checklist(analysis)
    [details] = section.blocks
    assert isinstance(details, Details)
    answers = {row[0]: row[1] for row in rows(tables([details])[0])}
    assert answers["How many runs?"] == "6 planned, of seeds 0–2: 4 trained, 1 crashed, 1 missing."
    assert answers["How large are they?"] == "1.99 M parameters, 762 M MACs per image."
    assert answers["How long did training take?"] == "90.0 s a network, 0.100 h in all."
    assert answers["How much energy?"] == "Not measured."
    assert answers["Which splits?"].startswith("2,000 to validate, ")
    assert "torch 2.14.0" in answers["Which code and versions?"]
    nothing = analysed(tmp_path / "none", {"a": [None]})
    assert checklist.checklist(nothing) == []
