"""Nobody has to watch a run: what it says goes on, or is lost, and the run goes on."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import linux

pytestmark = linux

SHOUT = """
import os, sys
from nin_bench.cli.streams import keep_streams
keep_streams()
opened = os.open(os.devnull, os.O_RDONLY)
for number in range(10_000):
    sys.stderr.write(f"line {number}\\n")
    print("also", file=sys.stderr)
os.write(int(sys.argv[1]), f"{opened > 2} {sys.stderr.isatty()}".encode())
"""


def shout(redirection: str) -> str:
    """Have a process say much to its stderr; what it reports of itself at its end."""
    told, tell = os.pipe()
    script = f'exec "$0" -c "$1" {tell} {redirection}'
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        ["bash", "-c", script, sys.executable, SHOUT], env=environment, pass_fds=[tell], check=False
    )
    os.close(tell)
    with os.fdopen(told) as stream:
        assert done.returncode == 0
        return stream.read()


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "2> >(exec true)", ">&- 2>&- <&-"])
def test_a_stream_that_takes_nothing_is_no_end(redirection):
    assert shout(redirection) == "True False"


def test_a_terminal_that_closes_is_no_end():
    told, tell = os.pipe()
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", SHOUT, str(tell)]
    process = subprocess.Popen(command, env=environment, stderr=theirs, pass_fds=[tell])
    os.close(theirs)
    os.close(tell)
    os.read(ours, 1)
    os.close(ours)
    with os.fdopen(told) as stream:
        assert stream.read().startswith("True")
    assert process.wait() == 0


PRINT = """
from nin_bench.cli.streams import let_output_go
let_output_go()
for number in range(10_000):
    print("after")
"""


@pytest.mark.parametrize(("redirection", "printed"), [("", 10_000 * "after\n"), (">/dev/full", "")])
def test_what_is_printed_once_all_is_done_ends_nothing(redirection, printed):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        ["bash", "-c", f'exec "$0" -c "$1" {redirection}', sys.executable, PRINT],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, printed, "")


CHATTY = """
from torch import nn
from nin_bench import register_model

print("imported")

class Chatty(nn.Flatten):
    def forward(self, images):
        print("forward", images.shape)
        return super().forward(images)

@register_model
def chatty(image):
    print("built")
    return nn.Sequential(Chatty(), nn.Linear(image.channels * image.resolution**2, image.num_classes))
"""
GRID = """
schema: 1
name: talk
data: {name: digits}
recipe: {epochs: 1}
models: [{name: chatty}]
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("plan", "--grid", "talk.yaml"), "forward torch.Size([1, 1, 8, 8])"),
        (("models", "chatty", "--resolution", "8"), "forward torch.Size([1, 1, 8, 8])"),
        (("measure", "--grid", "talk.yaml", "--for", "1s"), "built"),  # there is no time to measure
    ],
)
def test_what_a_network_prints_is_no_output_of_a_command(tmp_path, arguments, said):
    (tmp_path / "nets.py").write_text(CHATTY)
    (tmp_path / "talk.yaml").write_text(GRID)
    done = subprocess.run(
        [sys.executable, "-m", "nin_bench", *arguments, "--models", "nets.py", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (arguments[0] == "measure")
    assert isinstance(json.loads(done.stdout), dict)
    assert {"imported", "built", said} <= set(done.stderr.splitlines())
