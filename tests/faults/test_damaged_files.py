import contextlib
import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from nin_bench import cli
from nin_bench.data.sources import DATASETS, DEBIAN_FASHION_MNIST, data_root
from nin_bench.doctor import examine
from nin_bench.errors import InputError, ResultsError
from nin_bench.files import DamagedFileError, write_json
from nin_bench.reporting.build import build_report
from nin_bench.results import Record, ResolvedGrid, load_results
from nin_bench.results.artefact import RUN_SCHEMA
from nin_bench.results.probes import ProbeFile
from nin_bench.results.records import MAX_CLASSES, Metrics
from nin_bench.results.replays import ReplayedCell, Replays
from nin_bench.runner import run as runner
from tests.costs_fixture import cost_entry, write_costs
from tests.faults.damage import CUTS, FLIPS, cuts, flips
from tests.faults.scale import Count, scaled
from tests.faults.stubs import Stub, result_of
from tests.probes_fixture import answers as probe_answers


@pytest.fixture
def stub(tmp_path: Path) -> Stub:
    made = Stub(tmp_path)
    made.write_all()
    return made


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Runs a command in this process, and gives its status, its output and what it said on stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call


# What is read is what was written, or it is damaged


def kinds(stub: Stub) -> Iterator[tuple[str, Path, Callable[[], Any]]]:
    """Every kind of file in a results folder, and how it is read."""
    first, variant = stub.ids[0], stub.grid.variants[0].variant_id
    replayed = ReplayedCell(
        cell_id=first, label="mlp", seed=0, replayed_at="now", expected="equal bits", repeated=True
    )
    Replays(cells=(replayed,)).write(stub.folder.replay_path)
    record = stub.folder.read_record(first)
    ProbeFile.parse(probe_answers(first, record.metrics.test_accuracy)).write(stub.folder.probes_path(first))
    yield "probes", stub.folder.probes_path(first), lambda: stub.folder.read_probes(record)
    yield "costs", stub.folder.costs_path(variant), lambda: stub.folder.read_costs(variant)
    yield "record", stub.folder.record_path(first), lambda: stub.folder.read_record(first)
    yield "grid.json", stub.folder.grid_path, lambda: ResolvedGrid.read(stub.folder.grid_path)
    yield "replay.json", stub.folder.replay_path, lambda: Replays.read(stub.folder.replay_path)
    yield "predictions", stub.folder.predictions_path(first), lambda: stub.folder.read_predictions(first)


def same(found: Any, written: Any) -> bool:
    """Whether all that was written was read; the name of the digest's own field may have been hit."""
    if isinstance(written, BaseModel):
        return found == written
    if not set(written) <= set(found):
        return False
    return all(
        found[key].tolist() == value.tolist() if hasattr(value, "tolist") else found[key] == value
        for key, value in written.items()
    )


def test_a_file_that_was_cut_short_is_damaged(stub, faults: Count):
    for kind, path, read in kinds(stub):
        whole = path.read_bytes()
        for content in cuts(whole):
            path.write_bytes(content)
            if kind != "predictions" and content == whole.rstrip():
                continue  # it lacks nothing but the line's end
            with pytest.raises(DamagedFileError):
                read()
        path.write_bytes(b"")
        with pytest.raises(DamagedFileError):
            read()
        path.write_bytes(whole)
        faults(f"{kind} cut short", CUTS)
        faults(f"{kind} empty", 1)


def test_a_flipped_bit_is_noticed_or_changes_nothing(stub, faults: Count):
    count = scaled(FLIPS, 1000)
    for kind, path, read in kinds(stub):
        whole, written = path.read_bytes(), read()
        noticed = 0
        for content in flips(whole, count):
            path.write_bytes(content)
            try:
                assert same(read(), written)
            except DamagedFileError:
                noticed += 1
        path.write_bytes(whole)
        assert noticed > 0.8 * count
        faults(f"{kind} with a flipped bit", count)


def test_a_file_of_another_cell_is_damaged_and_one_of_a_newer_version_left_alone(stub, faults: Count):
    first, other = stub.ids[:2]
    folder = stub.folder
    for path in (folder.record_path, folder.predictions_path):
        path(first).write_bytes(path(other).read_bytes())
    for read in (folder.read_record, folder.read_predictions):
        with pytest.raises(DamagedFileError, match="another cell"):
            read(first)
    folder.costs_path(stub.grid.variants[0].variant_id).write_bytes(
        folder.costs_path(stub.grid.variants[1].variant_id).read_bytes()
    )
    with pytest.raises(DamagedFileError, match="another variant"):
        folder.read_costs(stub.grid.variants[0].variant_id)
    faults("record, predictions, costs of another cell or variant", 3)
    write_json(folder.record_path(first), result_of(stub.grid.cells[0])[0].model_dump(), RUN_SCHEMA + 1)
    found = {one.file: one.state for one in examine(folder.path)}
    assert found[f"cells/{first}.json"] == "open"
    write_json(folder.grid_path, stub.grid.resolved("cpu").model_dump(), RUN_SCHEMA + 1)
    before = stub.files()
    told = f"is of schema {RUN_SCHEMA + 1}; this version reads {RUN_SCHEMA}; a newer nin_bench wrote it"
    for read in (lambda: folder.read_record(first), folder.find_grid, lambda: load_results(folder.path)):
        with pytest.raises(ResultsError, match=told):
            read()
    assert {one.file: one.state for one in examine(folder.path)}.items() >= {"grid.json": "open"}.items()
    assert stub.files() == before
    faults("record, grid.json of a newer version", 2)


def test_doctor_sets_aside_what_is_damaged_and_touches_nothing_else(stub, faults: Count):
    folder, first = stub.folder, stub.ids[0]
    whole = stub.files()
    path = folder.record_path(first)
    damaged = [*cuts(path.read_bytes(), scaled(8, CUTS)), *flips(path.read_bytes(), scaled(8, FLIPS)), b""]
    for content in damaged:
        path.write_bytes(content)
        # A bit of the digest's own name, or a cut that takes the last line's end alone, does no harm.
        with contextlib.suppress(DamagedFileError):
            folder.read_record(first)
            path.write_bytes(whole[f"cells/{first}.json"])
            continue
        assert {finding.state for finding in examine(folder.path)} == {"repaired"}
        aside = {name: found for name, found in stub.files().items() if ".corrupt" in name}
        assert aside[f"cells/{first}.json.corrupt"] == content
        assert aside[f"cells/{first}.json.corrupt.txt"].startswith(f"{first}.json ".encode())
        kept = {name: found for name, found in stub.files().items() if name not in aside}
        assert kept == {name: found for name, found in whole.items() if first not in name}
        assert examine(folder.path) == []
        for name in aside:
            (folder.path / name).unlink()
        for name in (f"cells/{first}.json", f"predictions/{first}.npz"):
            (folder.path / name).write_bytes(whole[name])
    assert stub.files() == whole
    faults("damaged record, brought to doctor", len(damaged))


# Records that mean harm


class Planted:
    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (86,)


def changed(record: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({"schema": RUN_SCHEMA, **record, **changes}).encode()


def hostile_records(record: dict[str, Any]) -> Iterator[bytes]:
    metrics, (row,) = record["metrics"], record["history"]
    yield b"\x00" * 1000
    yield bytes(range(256))
    yield pickle.dumps(Planted())
    yield b'{"schema": %d, "metrics": {"test_accuracy": NaN}}' % RUN_SCHEMA
    yield changed(record).replace(b'"test_accuracy": ', b'"test_accuracy": 1e999, "was": ')
    yield changed(record).replace(b'"test_accuracy": ', b'"test_accuracy": -1e-999e5, "was": ')
    yield b'{"a":' * 100_000
    yield changed(record, environment=json.loads("[" * 400 + "]" * 400))
    yield changed(record, environment={"cores": 10**400})
    yield changed(record, metrics=metrics | {"num_params": 10**400})
    yield changed(record, metrics=metrics | {"num_macs": "many"})
    yield changed(record, metrics=metrics | {"test_accuracy": [0.9]})
    yield changed(record, metrics=metrics | {"test_accuracy": 7})
    yield changed(record, metrics=metrics | {"outcome": 1, "label": 2})
    yield changed(record, metrics=[metrics])
    yield changed(record, history=[row | {"epoch": 10**15}])
    yield changed(record, history=[row | {"train_loss": {}}])
    yield changed(record, history={"epoch": [1]})
    yield changed(record, attempts=[{"error": {"text": "x"}}])
    yield changed(record, attempts=[[]])
    yield changed(record, outcome=["trained"])
    yield changed(record, cell={"model": "mlp"})
    yield changed(record, cell_id="../../grid")
    yield changed(record, label="\ud800")


def plant(stub: Stub, step: int = 1) -> list[str]:
    """Put every hostile record, or only every so-many-th, in some cell's place; the ids of those cells."""
    contents = list(hostile_records(result_of(stub.grid.cells[0])[0].model_dump(mode="json")))[::step]
    huge, pipe, folder, link, *others = stub.ids[: 4 + len(contents)]
    os.truncate(stub.folder.record_path(huge), 100 * 2**20)
    for cell_id in (pipe, folder, link):
        stub.folder.record_path(cell_id).unlink()
    os.mkfifo(stub.folder.record_path(pipe))
    stub.folder.record_path(folder).mkdir()
    stub.folder.record_path(link).symlink_to("/etc/passwd")
    for cell_id, content in zip(others, contents, strict=True):
        own = content.replace(stub.ids[0].encode(), cell_id.encode())
        stub.folder.record_path(cell_id).write_bytes(own)
    return [huge, pipe, folder, link, *others]


def test_records_that_mean_harm_are_left_out_by_every_command(tmp_path, call, faults: Count):
    stub = Stub(tmp_path, seeds=15)
    stub.write_all()
    bad = plant(stub)
    good = len(stub.ids) - len(bad)
    path = "results/tiny/full"

    status, out, err = call("status", path, "--json")
    document = json.loads(out)
    assert (status, err) == (0, "")
    assert document["outcomes"] == {"trained": good, "missing": len(bad)}
    assert len(document["left_out"]) == len(bad)
    assert call("status", path, "--cells")[0] == 0

    status, out, _ = call("plan", "--grid", "grid.yaml", "--json")
    assert status == 0
    states = {cell["cell_id"]: cell["state"] for cell in json.loads(out)["cells"]}
    assert states == {cell_id: "missing" if cell_id in bad else "done" for cell_id in stub.ids}

    status, out, err = call("report", path, "--out", "page")
    assert (status, err) == (0, "")
    assert json.loads(Path("page/report.json").read_text())["outcomes"] == document["outcomes"]

    status, out, err = call("doctor", path, "--json")
    assert (status, err) == (0, "")
    assert {finding["file"] for finding in json.loads(out)["findings"] if finding["file"].startswith("cells")} == {
        f"cells/{cell_id}.json" for cell_id in bad
    }
    assert json.loads(call("status", path, "--json")[1])["left_out"] == []
    faults("records that mean harm, in status, plan, report and doctor", len(bad))


def test_a_run_sets_harmful_records_aside_and_trains_their_cells_alone(tmp_path, call, monkeypatch, faults: Count):
    monkeypatch.setattr(runner, "rounds_for", lambda grid: 1)
    stub = Stub(tmp_path, seeds=15)
    stub.write_all()
    bad = plant(stub, step=scaled(12, 1))
    before = stub.files()
    (stub.folder.path / "cells" / f".x.json.{'0' * 32}.tmp").touch()  # as a killed run leaves it
    status, out, err = call("run", "--grid", "grid.yaml", "--device", "cpu", "--workers", "2")
    assert status == 0, err
    good = len(stub.ids) - len(bad)
    assert out.splitlines()[-1] == f"results: results/tiny/full ({len(stub.ids)} trained; {good} done before)"
    assert sum("quarantined as" in line for line in err.splitlines()) == len(bad)
    assert "Traceback" not in err
    after = stub.files()
    assert not any(name.endswith(".tmp") for name in after)
    untouched = [name for name in before if Path(name).stem in set(stub.ids) - set(bad)]
    assert len(untouched) == 2 * good
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}
    assert load_results(stub.folder.path).cells["outcome"].tolist() == ["trained"] * len(stub.ids)
    faults("records that mean harm, in a run", len(bad))


# Numbers that no network has, and that any could


def test_a_report_is_made_of_whatever_numbers(stub, tmp_path, inputs: Count):
    cells = [result_of(cell)[0] for cell in stub.grid.cells]
    measures = st.none() | st.floats(0, 2.0**128) | st.integers(0, 2**63 - 1)
    shares = st.none() | st.floats(0, 1)
    class_number = st.integers(0, MAX_CLASSES - 1)
    counts = st.none() | st.integers(0, 2**63 - 1)
    pairs = st.dictionaries(st.tuples(class_number, class_number), st.integers(1, 2**63 - 1))
    special = {
        **dict.fromkeys(("escaped", "failed"), st.none() | st.booleans()),
        **dict.fromkeys(("dead_maps", "lost_classes"), st.none() | st.sets(class_number).map(sorted)),
        **dict.fromkeys(("failed_step", "peak_memory_bytes", "stopped_epoch"), counts),
        "micro_batch": st.none() | st.integers(1, 2**63 - 1),
        **dict.fromkeys(("test_macro_f1", "test_calibration_error"), shares),
        "confusion": st.none() | pairs.map(lambda found: [[*pair, found[pair]] for pair in sorted(found)]),
    }
    any_metrics = st.fixed_dictionaries(
        {},
        optional={
            name: special.get(name, counts if name.startswith("num_") else measures)
            for name in Metrics.model_fields
            if not name.endswith("accuracy")
        },
    )
    seen = 0

    @settings(max_examples=scaled(1, 40), deadline=None, phases=[Phase.generate])
    @given(st.lists(any_metrics, min_size=8, max_size=8), measures)
    def check(odd: list[dict[str, Any]], loss: float | None) -> None:
        nonlocal seen
        seen += 1
        for record, metrics in zip(cells, odd, strict=True):
            plain = record.model_dump()
            history = [{**plain["history"][0], "train_loss": loss}]
            stub.folder.write_record(
                Record.parse({**plain, "metrics": plain["metrics"] | metrics, "history": history})
            )
        assert load_results(stub.folder.path).left_out == []
        build_report(stub.folder.path, tmp_path / "page")

    check()
    inputs("records of odd numbers, in a report", seen)


def numbers_in(value: Any) -> list[tuple[Any, Any]]:
    """Every container below a value, with the key of a number in it."""
    found = []
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(item, dict | list):
            found += numbers_in(item)
        elif isinstance(item, int | float):
            found.append((value, key))
    return found


def test_a_report_is_made_of_whatever_costs(stub, tmp_path, inputs: Count):
    variant = stub.grid.variants[0]
    seen = 0

    @settings(max_examples=scaled(1, 20), deadline=None, phases=[Phase.generate])
    @given(st.data())
    def check(data: st.DataObject) -> None:
        nonlocal seen
        entry = cost_entry()
        for place, key in data.draw(st.lists(st.sampled_from(numbers_in(entry)), min_size=1, max_size=20)):
            place[key] = data.draw(st.sampled_from([0, 1]) | st.integers(0, 2**63 - 1) | st.floats(0, 2.0**128))
        stub.folder.costs_path(variant.variant_id).unlink(missing_ok=True)
        write_costs(stub.folder.path, variant.variant_id, entry)
        seen += not load_results(stub.folder.path).left_out
        build_report(stub.folder.path, tmp_path / "page")

    check()
    inputs("costs of odd numbers, in a report", seen)


# grid.json


@pytest.mark.parametrize("command", ["status", "report", "plan", "run", "doctor"])
def test_a_grid_file_that_means_harm_is_refused_in_one_line(stub, call, faults: Count, command):
    whole = json.loads(stub.folder.grid_path.read_text())
    del whole["digest"]
    cell, variant = whole["cells"][0], whole["variants"][0]
    harmful = [
        b"", b"{", b"\x00" * 100, pickle.dumps(Planted()), b"[" * 200_000, b'{"schema": 7}',
        b'{"schema": %d}' % RUN_SCHEMA,
        *(
            json.dumps({**whole, **changes}).encode()
            for changes in (
                {"cells": "all"}, {"cells": [cell | {"cell_id": "../../../victim"}]}, {"cells": [{}]},
                {"cells": [cell | {"variant_id": "?"}]}, {"cells": [cell | {"seed": "0"}]}, {"variants": [1]},
                {"variants": [variant | {"recipe": [1]}]}, {"variants": [variant | {"label": {"a": 1}}]},
                {"name": ["tiny"]}, {"name": "\ud800"}, {"recipe": "fast"}, {"data": {"name": {"x": {}}}},
                {"lock": [1]}, {"lock": {"seeds": json.loads("[" * 50 + "]" * 50)}}, {"digest": "0" * 64},
            )
        ),
    ]  # fmt: skip
    arguments = ["--grid", "grid.yaml"] if command in ("plan", "run") else ["results/tiny/full"]
    for content in harmful:
        stub.folder.grid_path.write_bytes(content)
        status, out, err = call(command, *arguments)
        if command == "doctor":
            assert (status, err) == (1, "")
            assert out.startswith("grid.json: ")
        else:
            assert (status, out) == (2, "")
            told = err.splitlines()
            assert len(told) == 1, err
            assert "grid.json" in told[0]
            assert "Traceback" not in told[0]
    faults(f"grid.json that means harm, in {command}", len(harmful))


def test_reading_raises_nothing_but_what_it_says(stub, inputs: Count):
    """Whatever bytes a file holds, its reader answers with damage or a refusal."""
    seen = 0

    @settings(max_examples=scaled(100, 2000), deadline=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        nonlocal seen
        seen += 1
        _, path, read = data.draw(st.sampled_from(list(kinds(stub))))
        whole = path.read_bytes()
        start = data.draw(st.integers(0, len(whole)))
        end = data.draw(st.integers(start, len(whole)))
        path.write_bytes(whole[:start] + data.draw(st.binary(max_size=40)) + whole[end:])
        try:
            with contextlib.suppress(DamagedFileError, ResultsError, InputError):
                read()
        finally:
            path.write_bytes(whole)

    check()
    inputs("files with some bytes replaced", seen)


# The images


@pytest.mark.fashion
@pytest.mark.parametrize("name", ["t10k-labels-idx1-ubyte", "t10k-images-idx3-ubyte"])
def test_a_damaged_image_file_is_refused_by_name_or_reads_as_published(tmp_path, faults: Count, name):
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    read = DATASETS["fashion_mnist"].read
    published = read("test", data_root(None))
    (packed,) = [path for path in _fashion_files() if path.name.startswith(name)]
    for path in _fashion_files():
        shutil.copy(path, raw)
    whole, count = packed.read_bytes(), scaled(3, FLIPS)
    for content in [*cuts(whole, count), *flips(whole, count), b""]:
        (raw / packed.name).write_bytes(content)
        refusal, found = None, published
        try:
            found = read("test", tmp_path)
        except InputError as error:
            refusal = str(error)
        assert refusal is None or str(raw / packed.name) in refusal
        # Where nothing is refused, what was hit are the packer's own remarks.
        assert all(np.array_equal(a, b) for a, b in zip(found, published, strict=True))
    faults("image file cut short, flipped or empty", 2 * count + 1)


def _fashion_files() -> list[Path]:
    """The packed files of the test images, wherever this machine has them."""
    places = [data_root(None) / "FashionMNIST" / "raw", DEBIAN_FASHION_MNIST]
    return next(files for place in places if (files := sorted(place.glob("t10k-*.gz"))))
