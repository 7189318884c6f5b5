"""What the executor's tests let workers do: functions of module level, as a worker has to find them."""

import ctypes
import os
import resource
import signal
import sys
import threading
import time
from multiprocessing import parent_process

from nin_bench.executors import Channel, Slot


def answer(channel: Channel, slot: Slot, value: object) -> object:
    return value


def where(channel: Channel, slot: Slot) -> dict[str, object]:
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    return {"pid": os.getpid(), "cores": cores}


def faults_of_a_second_allocation(channel: Channel, slot: Slot, num_bytes: int) -> int:
    def faults_of_one() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        b"x" * num_bytes  # written to, and freed at once
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    faults_of_one()
    return faults_of_one()


def nap(channel: Channel, slot: Slot, seconds: float) -> None:
    time.sleep(seconds)


def fail(channel: Channel, slot: Slot) -> None:
    raise ValueError("no such luck")


def exit_with(channel: Channel, slot: Slot, code: int) -> None:
    sys.stderr.write("these were my last words\n")
    os._exit(code)


def die_by(channel: Channel, slot: Slot, number: int) -> None:
    os.write(2, b"written past Python\n")
    os.kill(os.getpid(), number)


def crash_in_c(channel: Channel, slot: Slot) -> None:
    ctypes.string_at(0)


def send_then_die(channel: Channel, slot: Slot, count: int) -> None:
    for number in range(count):
        channel.send(number)
    os.kill(os.getpid(), signal.SIGKILL)


def send_until_stopped(channel: Channel, slot: Slot) -> None:
    while not channel.should_stop():
        channel.send("more")


def return_unpicklable(channel: Channel, slot: Slot) -> object:
    return lambda: None


def return_and_hang(channel: Channel, slot: Slot) -> str:
    threading.Thread(target=threading.Event().wait).start()
    return "done"


def until_stopped(channel: Channel, slot: Slot) -> str:
    channel.send(os.getpid())
    moment = threading.Event()
    while not channel.should_stop():
        moment.wait(0.01)
    return "stopped in order"


def ask_until_no(channel: Channel, slot: Slot) -> list[object]:
    answers: list[object] = []
    while not answers or answers[-1]:
        answers.append(channel.ask(len(answers)))
    return [*answers, channel.should_stop()]


def tell_then_ask(channel: Channel, slot: Slot, count: int) -> object:
    for number in range(count):
        channel.send(number)
    answer = channel.ask("and now?")
    for number in range(count):
        channel.send(number)
    return answer


def ignore_everything(channel: Channel, slot: Slot) -> None:
    channel.send(os.getpid())
    threading.Event().wait()


class LoadsOnlyInParent:
    """Pickles, but a worker that unpickles it fails, as one does whose import breaks."""

    def __reduce__(self) -> tuple[object, tuple[()]]:
        return (_only_in_parent, ())


def _only_in_parent() -> None:
    if parent_process() is not None:
        raise ImportError("half an installation")
