"""Ray clusters for tests: nodes as processes on this machine, or two with a network between them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

ray = pytest.importorskip("ray", reason="needs Ray: pip install 'nin-bench[ray]'")

from ray.cluster_utils import Cluster  # noqa: E402

ROOT = Path(__file__).parent.parent
QUIETLY = {
    "PYTHONPATH": str(ROOT),  # where nodes find what tests let workers do
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # 15 is Ray's own: where other tests run, its workers would hardly start
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


class Nodes:
    """A cluster whose head has no CPU to give."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        head: dict[str, Any] = {"num_cpus": 0, "include_dashboard": False, "gcs_server_port": port or 0}
        self.cluster: Any = Cluster(initialize_head=True, head_node_args=head)
        self._nodes: dict[str, Any] = {}

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add(self, num_cpus: int) -> str:
        """Add a node whose data directory is one of its own; its name, as slots have it."""
        data = self.folder / f"data of node {len(self._nodes)}"
        node = self.cluster.add_node(num_cpus=num_cpus, env_vars={"NIN_BENCH_DATA": str(data)})
        self._nodes[node.node_id[:8]] = node
        return str(node.node_id[:8])

    def kill(self, name: str) -> None:
        """Kill all of a node's processes."""
        self.cluster.remove_node(self._nodes[name], allow_graceful=False)

    def kill_head(self) -> None:
        """Kill the server that makes the head's node the head, and that alone."""
        self.cluster.head_node.kill_gcs_server()


@contextmanager
def ray_nodes(folder: Path, num_cpus: Sequence[int], port: int | None = None) -> Iterator[Nodes]:
    """A cluster with nodes of so many CPUs; its head listens at a port, if one is given."""
    before = {name: os.environ.get(name) for name in QUIETLY}
    os.environ.update(QUIETLY)
    nodes = Nodes(folder, port)
    try:
        for number in num_cpus:
            nodes.add(number)
        yield nodes
    finally:
        nodes.cluster.shutdown()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


class Hosts:
    """Two network namespaces, which stand for machines, and a cable between them; Ray has a CPU on each.

    Their addresses are on the loopback device, so that each still reaches itself when the cable is cut.
    """

    addresses = ("10.77.0.1", "10.77.0.2")
    address = "10.77.0.1:6379"

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = {**os.environ, **QUIETLY, "RAY_AUTH_MODE": "disabled", **variables}
        self.names = tuple(f"nin_bench-{number}-{os.getpid()}" for number in range(2))

    def start(self, folder: str) -> None:
        """Join them, then start Ray: its head on the first."""
        for name in self.names:
            _ip("netns", "add", name)
        ends = [["cable", "netns", name] for name in self.names]
        _ip("link", "add", *ends[0], "type", "veth", "peer", *ends[1])
        for number, name in enumerate(self.names):
            _ip("-netns", name, "link", "set", "lo", "up")
            _ip("-netns", name, "address", "add", f"{self.addresses[number]}/32", "dev", "lo")
            self._plug(number)
        head = ["--head", "--port=6379", "--include-dashboard=false", f"--temp-dir={folder}"]
        for number, options in enumerate((head, [f"--address={self.address}"])):
            start = [str(Path(sys.executable).parent / "ray"), "start", "--num-cpus=1", "--disable-usage-stats"]
            command = [*start, f"--node-ip-address={self.addresses[number]}", *options]
            assert self.popen(number, command, stdout=subprocess.DEVNULL).wait() == 0

    def popen(self, number: int, command: Sequence[str], **options: Any) -> "subprocess.Popen[str]":
        """Start a command on the head's machine, 0, or on the other."""
        on_it = ["ip", "netns", "exec", self.names[number], *command]
        return subprocess.Popen(on_it, env=self.variables, text=True, **options)

    def cut(self) -> None:
        """Cut the cable: what either sends to the other arrives nowhere."""
        _ip("-netns", self.names[0], "link", "set", "cable", "down")

    def mend(self) -> None:
        """Join what was cut."""
        self._plug(0)

    def remove(self) -> None:
        """Kill whatever runs there, and remove both."""
        for name in self.names:
            for pid in _ip("netns", "pids", name, check=False).split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            _ip("netns", "delete", name, check=False)

    def _plug(self, number: int) -> None:
        name = self.names[number]
        _ip("-netns", name, "link", "set", "cable", "up")
        _ip("-netns", name, "route", "replace", "default", "dev", "cable", "src", self.addresses[number])


def _ip(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True)
    if check and done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def ray_hosts(**variables: str) -> Iterator[Hosts]:
    """Ray on two machines with a cable between them; skips where the system allows no network namespaces."""
    hosts = Hosts(variables)
    try:
        _ip("netns", "add", hosts.names[0])
    except OSError as error:
        pytest.skip(f"needs iproute2, and the right to make network namespaces: {error}")
    _ip("netns", "delete", hosts.names[0])
    with TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:  # short, as sockets' paths are
        try:
            hosts.start(folder)
            yield hosts
        finally:
            hosts.remove()
