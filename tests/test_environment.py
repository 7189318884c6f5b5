import getpass
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nin_bench
from nin_bench import environment
from nin_bench.environment import describe_environment, describe_machine, device_name, without_folders


def test_the_environment_tells_machine_software_and_commit():
    found = describe_environment()
    assert found["cores"] >= 1
    assert found["memory_bytes"] is None or found["memory_bytes"] > 2**28
    assert found["python"] == platform.python_version()
    assert found["software"]["numpy"] == np.__version__
    assert found["nin_bench"] in (nin_bench.__version__, None)  # None where it was not installed
    assert found["commit"] is None or re.fullmatch(r"[0-9a-f]{40,64}\+?", found["commit"])
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_the_environment_names_no_host_user_or_folder():
    text = json.dumps(describe_environment())
    assert platform.node() not in text or not platform.node()
    assert f'"{getpass.getuser()}"' not in text
    assert str(Path.home()) not in text
    assert str(Path(nin_bench.__file__).parent.parent) not in text


def test_a_machine_has_a_fingerprint_that_stays_and_that_its_parts_decide(monkeypatch):
    found = describe_machine("cpu")
    assert re.fullmatch("[0-9a-f]{16}", found["fingerprint"])
    assert describe_machine("cpu") == found
    assert (found["device"], device_name("cpu")) == ("cpu", "cpu")
    assert found["num_cores"] == describe_environment()["cores"]
    assert found["software"]["nin_bench"] == nin_bench.__version__
    text = json.dumps(found)
    assert platform.node() not in text or not platform.node()
    assert str(Path.home()) not in text

    def fingerprint_with(**changes):
        monkeypatch.setattr(environment, "describe_environment", lambda: {**described, **changes})
        return describe_machine("cpu")["fingerprint"]

    described = describe_environment()
    memory = 8 * 2**30
    fingerprints = [
        fingerprint_with(memory_bytes=memory),
        fingerprint_with(memory_bytes=2 * memory),
        fingerprint_with(memory_bytes=memory, cores=1000),
        fingerprint_with(memory_bytes=memory, processor="an abacus"),
        fingerprint_with(memory_bytes=memory, software={"torch": "0"}),
    ]
    assert len(set(fingerprints)) == 5
    # What a kernel keeps for itself varies from one start to the next; a commit is no machine.
    assert fingerprint_with(memory_bytes=memory - 2**20, commit="other") == fingerprints[0]


def test_the_commit_of_a_checkout_and_whether_files_differ(tmp_path, monkeypatch):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    (tmp_path / "nin_bench").mkdir()
    module = tmp_path / "nin_bench" / "environment.py"
    module.write_text("")
    monkeypatch.setattr(environment, "__file__", str(module))
    describe = describe_environment.__wrapped__
    assert describe()["commit"] is None
    subprocess.run([*git, "init", "-q"], check=True)
    assert describe()["commit"] is None  # no commit yet
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert describe()["commit"] == head
    module.write_text("changed = True")
    assert describe()["commit"] == f"{head}+"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No such file: '/home/somebody/my data/train.gz'", "No such file: 'train.gz'"),
        ('  File "/usr/lib/python3/x.py", line 3', '  File "x.py", line 3'),
        ("/data/FashionMNIST/raw/t10k.gz: its MD5 is 0, not 1", "t10k.gz: its MD5 is 0, not 1"),
        ("(/data/a.bin) and /data/b.bin", "(a.bin) and b.bin"),
        ("http://127.0.0.1:80/a/b.gz was not found", "http://127.0.0.1:80/a/b.gz was not found"),
        ("1/255 and/or 5 images/s", "1/255 and/or 5 images/s"),
    ],
)  # fmt: skip
def test_folders_are_left_out_of_messages(text, expected):
    assert without_folders(text) == expected


def test_describing_the_environment_does_not_wait_for_torch():
    program = (
        "import sys; from nin_bench.environment import describe_environment; describe_environment(); "
        "assert 'torch' not in sys.modules"
    )
    root = str(Path(nin_bench.__file__).parent.parent)
    subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": root}, check=True)
