"""A Ray cluster for tests: its head, which has no CPU to give, and nodes, as processes on this machine."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
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
    """A cluster."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
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


@contextmanager
def ray_nodes(folder: Path, num_cpus: Sequence[int]) -> Iterator[Nodes]:
    """A cluster with nodes of so many CPUs."""
    before = {name: os.environ.get(name) for name in QUIETLY}
    os.environ.update(QUIETLY)
    nodes = Nodes(folder)
    try:
        for number in num_cpus:
            nodes.add(number)
        yield nodes
    finally:
        nodes.cluster.shutdown()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
