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
import torch

import nin_bench
from nin_bench import environment
from nin_bench.environment import (
    describe_environment,
    describe_machine,
    describe_torch,
    device_name,
    without_folders,
)


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
    assert (describe()["commit"], describe()["commit_note"]) == (None, "the package is not in a git checkout")
    subprocess.run([*git, "init", "-q"], check=True)
    found = describe()  # no commit yet
    assert found["commit"] is None
    assert "ambiguous argument 'HEAD'" in found["commit_note"]
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert describe()["commit"] == head
    assert "commit_note" not in describe()

    # Another repository that the environment names, as a hook's does, is not asked.
    other = tmp_path / "other"
    subprocess.run(["git", "init", "-q", str(other)], check=True)
    known = subprocess.run(["git", "rev-parse", "--local-env-vars"], check=True, capture_output=True, text=True)
    redirecting = {*known.stdout.split(), "GIT_NAMESPACE"} - {"GIT_CONFIG_COUNT", "GIT_CONFIG_PARAMETERS"}
    assert redirecting >= {"GIT_DIR", "GIT_INDEX_FILE", "GIT_SHALLOW_FILE", "GIT_WORK_TREE"}
    with monkeypatch.context() as patch:
        for name in redirecting:
            patch.setenv(name, str(other / ".git"))
        assert describe()["commit"] == head
    with monkeypatch.context() as patch:
        patch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
        found = describe()
        assert found["commit"] is None
        assert found["commit_note"].startswith("fatal: detected dubious ownership in repository")
        assert str(tmp_path) not in json.dumps(found)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "")
        assert describe()["commit_note"].startswith("git could not be asked: ")

    module.write_text("changed = True")
    assert describe()["commit"] == f"{head}+"

    # Nor is a repository around a checkout that is damaged.
    subprocess.run(["git", "init", "-q", str(tmp_path / "nin_bench")], check=True)
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "nin_bench" / "inner" / "environment.py"))
    (tmp_path / "nin_bench" / ".git" / "HEAD").unlink()
    found = describe()
    assert found["commit"] is None
    assert found["commit_note"].startswith("fatal: not a git repository")


def test_variables_that_change_bits_are_told_and_no_others(monkeypatch):
    for name in [name for name in os.environ if name.startswith(("MKL_", "OMP_"))]:
        monkeypatch.delenv(name)
    given = {
        "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "COMPATIBLE", "ATEN_CPU_CAPABILITY": "default",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8", "OMP_NUM_THREADS": "1", "NVIDIA_TF32_OVERRIDE": "0",
        "TORCH_BLAS_PREFER_CUBLASLT": "1", "PYTORCH_TUNABLEOP_ENABLED": "1", "TORCHINDUCTOR_MAX_AUTOTUNE": "1",
    }  # fmt: skip
    others = {"MKLROOT": "/opt/mkl", "SECRET_TOKEN": "x", "TORCHINDUCTOR_CACHE_DIR": "/tmp/inductor"}
    for name, value in {**given, **others}.items():
        monkeypatch.setenv(name, value)
    found = describe_environment.__wrapped__()["variables"]
    assert found.items() >= given.items()
    assert not others.keys() & found.keys()


def test_pytorchs_settings_are_those_of_this_process():
    found = describe_torch("cpu")
    assert found["num_threads"] == torch.get_num_threads()
    assert found["deterministic_algorithms"] is torch.are_deterministic_algorithms_enabled()
    assert found["cpu_capability"] == torch.backends.cpu.get_cpu_capability()
    assert not [name for name in found if name.startswith("cud")]
    cuda = describe_torch("cuda:0")
    assert cuda["cudnn_deterministic"] is torch.backends.cudnn.deterministic
    assert json.loads(json.dumps(cuda)) == cuda


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
