"""The head of a Ray cluster, stood in for by a socket: what counts as gone, and what as out of reach for now."""

import socket

from nin_bench.executors import ray_head
from nin_bench.executors.ray_head import Head


def test_a_head_is_gone_once_its_machine_refuses():
    with socket.create_server(("127.0.0.1", 0)) as server:
        head = Head(f"127.0.0.1:{server.getsockname()[1]}")
        assert head.answers()
    assert not head.answers()
    assert str(head.failure) == (
        f"the head of the Ray cluster is gone ({head.address}: Connection refused); start it again, then run the "
        "same command again"
    )
    with socket.create_server(("127.0.0.1", int(head.address.split(":")[1]))):
        assert not head.answers()  # another one is not ours


def test_a_head_that_is_out_of_reach_is_gone_after_a_while_only(monkeypatch):
    def unreachable(address: tuple[str, int], timeout: float) -> socket.socket:
        raise TimeoutError("timed out")

    head = Head("192.0.2.1:6379")
    with monkeypatch.context() as patch:
        patch.setattr(socket, "create_connection", unreachable)
        assert (head.answers(), head.failure) == (False, None)
        patch.setattr(ray_head, "GONE_SECONDS", -1.0)
        assert not head.answers()
    assert str(head.failure).startswith("the head of the Ray cluster is gone (192.0.2.1:6379: timed out)")
