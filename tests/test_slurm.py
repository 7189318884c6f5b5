"""docs/nin_bench.sbatch, with commands of SLURM that start real processes on this machine."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nin_bench.cli.options import parse_duration
from nin_bench.errors import InputError
from nin_bench.results import ResultsFolder, load_results
from tests.processes import linux, members_of, still_running_after

pytest.importorskip("ray", reason="needs Ray: pip install 'nin-bench[ray]'")
pytestmark = [linux, pytest.mark.extra]

ROOT = Path(__file__).parent.parent
GRID = """
schema: 1
name: tiny
data: {name: digits}
recipe: {epochs: 2000, batch_size: 16, lr: 0.01}
seeds: 1
models:
  - {name: mlp, hidden: [8, 16]}
"""
# Options, then a command, which is run once for each task.
SRUN = """#!/usr/bin/env bash
echo "srun $*" >> "$SLURM_LOG"
tasks=1
while [[ "$1" == --* ]]; do
  case "$1" in --ntasks=*) tasks=${1#*=} ;; esac
  shift
done
for _ in $(seq "$tasks"); do "$@" & done
wait
"""
SCONTROL = """#!/usr/bin/env bash
echo "scontrol $*" >> "$SLURM_LOG"
[ "$1" != show ] || printf 'node1\\nnode2\\n'
"""


def test_for_slurm_is_what_is_left_of_the_job(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 600))
    assert 590 < parse_duration("slurm") <= 600
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1000000000")
    assert parse_duration("slurm") == 1.0
    monkeypatch.delenv("SLURM_JOB_END_TIME")
    with pytest.raises(InputError, match="--for slurm: SLURM_JOB_END_TIME is not set"):
        parse_duration("slurm")


def test_a_job_that_is_preempted_saves_its_cells_on_two_nodes_and_is_queued_again(tmp_path):
    (tmp_path / "grid.yaml").write_text(GRID)
    (tmp_path / "token").write_text(64 * "a")  # without which Ray's head admits nobody
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (tmp_path / "bin" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    with socket.socket() as probe:
        probe.bind(("", 0))
        port = probe.getsockname()[1]
    log = tmp_path / "slurm.log"
    programs = [str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    job = subprocess.Popen(
        ["bash", str(ROOT / "docs" / "nin_bench.sbatch"), "run", "grid.yaml", "--no-measure", "--device", "cpu"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": os.pathsep.join(programs),
            "PYTHONPATH": str(ROOT),
            "RAY_PORT": str(port),
            "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token"),
            "SLURM_LOG": str(log),
            "SLURM_JOB_ID": "17",
            "SLURM_JOB_NODELIST": "node[1-2]",
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_CPUS_PER_TASK": "1",
            "SLURM_JOB_END_TIME": str(int(time.time()) + 3600),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert job.stdout is not None
    told = []
    try:
        for line in job.stdout:
            told.append(line)
            if sum("epoch 3/2000" in one for one in told) == 2:
                break
        job.send_signal(signal.SIGUSR1)
        assert job.wait(600.0) == 128 + signal.SIGUSR1, "".join(told)
    finally:
        os.killpg(job.pid, signal.SIGKILL)  # as SLURM ends what a job leaves
        job.stdout.close()
    assert still_running_after(30.0, members_of(job.pid)) == set()
    calls = log.read_text().splitlines()
    assert calls[0] == "scontrol show hostnames node[1-2]"
    assert "--nodelist=node1 ray start --head" in calls[2]
    assert "--nodes=1 --ntasks=1 --exclude=node1 ray start --address=" in calls[3]
    assert calls[4:] == ["scontrol requeue 17"]
    folder = ResultsFolder(tmp_path / "results" / "tiny" / "full")
    records = load_results(folder.path).records
    assert [record.outcome for record in records] == ["interrupted"] * 2
    assert len({record.environment["node"] for record in records}) == 2
    assert all(len(record.history) >= 3 for record in records)
    assert len({path.name.partition(".")[0] for path in folder.checkpoints_path.glob("*.ckpt")}) == 2
