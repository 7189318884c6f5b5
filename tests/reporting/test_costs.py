import pytest

from nin_bench.analysis.costs import compare_costs
from nin_bench.reporting.sections.costs import cost_tables, describe_machine, describe_settings
from nin_bench.results import load_results
from tests.costs_fixture import CPU, around, cost_entry, write_costs
from tests.report_fixture import metrics, record, write_results


def rows_of(tmp_path, *entries, baseline="a"):
    variants = {label: [record(metrics=metrics(0.9))] for label, _ in zip("abcd", entries, strict=False)}
    folder = write_results(tmp_path / "r", variants, baseline=baseline, machine=CPU)
    for number, entry in enumerate(entries):
        write_costs(folder, f"v{number:02}", entry)
    [costs] = compare_costs(load_results(folder))
    return costs.rows


def test_tables_say_what_was_measured(tmp_path):
    half = {name: around(500.0) for name in ("images_per_second", "busy_images_per_second")}
    slower = cost_entry(train={**cost_entry()["train"], **half}, first_dense_weights=None)
    tables = cost_tables(rows_of(tmp_path, cost_entry(), slower))
    assert list(tables) == ["sizes", "speeds", "memory"]
    kinds = ("60.0 / 30.0 / 10.0 / 0", "60.0 / 38.0 / 2.0 / 0", "50.0 / 0 / 0 / 50.0")
    assert tables["sizes"].rows == (("a (baseline)", "50 k", "90", *kinds), ("b", "50 k", "none", *kinds))
    assert tables["speeds"].rows[1] == (
        "b", "500 (475–525)", "×0.500", "1.00 / 10.0 / 20.0 / 1.00", "40.0 (39.6–40.4)", "4,000 (3,800–4,200)",
        "×1.00", "2.00 / 3.00 / 4.00", "×1.00",
    )  # fmt: skip
    assert tables["memory"].rows[0] == ("a (baseline)", "0.00400", "0.150", "3.00", "200", "–", "90.0")


def test_a_column_that_nobody_has_a_figure_for_is_left_out(tmp_path):
    tables = cost_tables(rows_of(tmp_path, cost_entry(mfu=None), baseline=None))
    assert tables["speeds"].headings == (
        "variant", "training images per second", "data / forward / backward / optimizer, ms per batch",
        "predicted images per second", "latency of one image, p50 / p95 / p99, ms",
    )  # fmt: skip
    assert "ratio to the baseline" not in tables["memory"].headings


def test_memory_by_batch_is_said_if_batches_were_tried(tmp_path):
    def with_batches(*tried):
        names = ("batch_size", "micro_batch", "peak_estimate", "peak")
        batches = [dict(zip(names, one, strict=True)) for one in tried]
        return cost_entry(memory_bytes={**cost_entry()["memory_bytes"], "batches": batches})

    linear = with_batches(
        (8, None, 0, 30_000_000), (16, None, 0, 50_000_000), (32, None, 0, 90_000_000), (32, 8, 0, 31_000_000)
    )
    not_all = with_batches((8, None, 0, 30_000_000), (16, None, 0, None), (32, 8, 0, None))
    found = cost_tables(rows_of(tmp_path / "some", linear, not_all, cost_entry()))["batches"]
    assert found.headings[1:] == (
        "batch of 8", "batch of 16", "batch of 32", "an image more, 8 to 16", "an image more, 16 to 32",
        "32 in micro-batches of 8",
    )  # fmt: skip
    assert found.rows == (  # 20 MB for 8 images, 40 MB for 16
        ("a (baseline)", "30.0", "50.0", "90.0", "2.50", "2.50", "31.0"),
        ("b", "30.0", "–", "–", "–", "–", "–"),
        ("c", "–", "–", "–", "–", "–", "–"),
    )
    assert "batches" not in cost_tables(rows_of(tmp_path / "none", with_batches((8, None, 0, None))))


def test_energy_has_a_column_if_somebody_has_it(tmp_path):
    energy = {"train": around(0.5), "predict": around(0.125)}
    tables = cost_tables(rows_of(tmp_path, cost_entry(), cost_entry(energy_joules_per_image=energy)))
    joules = [tables["speeds"].headings.index(name) for name in ("J per image", "J per predicted image")]
    assert [[row[at] for at in joules] for row in tables["speeds"].rows] == [
        ["–", "–"], ["0.500 (0.475–0.525)", "0.125 (0.119–0.131)"],
    ]  # fmt: skip


def test_a_variant_that_could_not_be_measured_still_has_its_counts(tmp_path):
    nothing = dict.fromkeys(("train", "predict", "latency_seconds", "startup_seconds", "mfu", "ceilings"))
    failed = cost_entry(**nothing, error="out of memory", load=[], layers=[])
    tables = cost_tables(rows_of(tmp_path, cost_entry(), failed))
    assert tables["sizes"].rows[1][-1] == "–"
    assert set(tables["speeds"].rows[1][1:]) == {"–"}
    assert tables["memory"].rows[1][1] == "0.00400"


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        (CPU, "Example CPU, 2 cores, 8.0 GiB, python 3.11.9, torch 2.14.0, nin_bench 0.1.0"),
        ({"device": "NVIDIA H100", "processor": "Some CPU", "num_cores": 1}, "NVIDIA H100, Some CPU, 1 core"),
        ({"device": "cpu"}, ""),
    ],
)
def test_a_machine_is_named_in_a_line(machine, said):
    assert describe_machine(machine) == said


def test_settings_that_differ_name_their_variants(tmp_path):
    whole = cost_entry(setting={**cost_entry()["setting"], "micro_batch": None, "precision": "fp32"})
    rows = rows_of(tmp_path, cost_entry(), whole, cost_entry())
    [alone], several = describe_settings(rows[:1]), describe_settings(rows)
    assert alone.startswith("Batches of 32, 16 images at once, bf16; ")
    assert [said.rpartition(": ")[2] for said in several] == ["a; c.", "b."]
