"""The machine's own counters around a measurement: stolen time, other processes, throttling, energy."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import torch

from nin_bench.results.cost_entry import Load

_THROTTLE_COUNTS = "cpu*/thermal_throttle/*_throttle_count"


class LoadWatch:
    """Watch the machine from now until `load` is asked for."""

    def __init__(self, device: torch.device, processors: Path = Path("/sys/devices/system/cpu")) -> None:
        self._device = device
        self._processors = processors
        self._times = psutil.cpu_times()
        self._own = time.process_time()
        self._throttles = _throttle_count(processors)

    def load(self) -> Load:
        """What happened since."""
        times, own = psutil.cpu_times(), time.process_time() - self._own
        passed = {name: after - getattr(self._times, name) for name, after in times._asdict().items()}
        # A guest's time is part of user and nice time already.
        total = sum(seconds for name, seconds in passed.items() if not name.startswith("guest"))
        if total <= 0:
            return Load(steal_share=None, other_cpu_share=None, throttled=self._throttled())
        idle = passed["idle"] + passed.get("iowait", 0.0)
        steal = passed.get("steal")
        other = total - idle - (steal or 0.0) - own
        return Load(
            steal_share=None if steal is None else steal / total,
            # The kernel counts in ticks, so that a quiet moment can come out a little below nothing.
            other_cpu_share=max(0.0, other / total),
            throttled=self._throttled(),
        )

    def _throttled(self) -> bool | None:
        if self._device.type == "cuda":
            return _gpu_is_hot(self._device)
        now = _throttle_count(self._processors)
        return None if now is None or self._throttles is None else now > self._throttles


def energy_counter(
    device: torch.device, powercap: Path = Path("/sys/class/powercap")
) -> Callable[[], float | None]:
    """A function that reads what the device has taken, in joules from some zero; None without a counter.

    NVML's of a GPU (package nvidia-ml-py, the extra `gpu`), RAPL's of the processors' packages.

    Args:
        device: a GPU, or the CPU.
        powercap: where the kernel keeps RAPL's counters; most systems let only root read them.
    """
    counter: Callable[[], float] | None = None
    if device.type == "cuda":
        counter = _nvml_counter(device)
    elif device.type == "cpu":
        counter = _RaplCounter.of(powercap)
    return counter or (lambda: None)


class _RaplCounter:
    """The sum over the packages; each counter starts again at zero after its range."""

    def __init__(self, zones: list[Path]) -> None:
        self._zones = zones
        self._ranges = [_number(zone / "max_energy_range_uj") for zone in zones]
        self._last = self._read()
        self._total = 0

    @classmethod
    def of(cls, powercap: Path) -> "_RaplCounter | None":
        # intel-rapl:0 is a package, on AMD too; intel-rapl:0:0 is a part of it.
        zones = sorted(path for path in powercap.glob("intel-rapl:*") if path.name.count(":") == 1)
        try:
            return cls(zones) if zones else None
        except (OSError, ValueError):
            return None

    def __call__(self) -> float:
        now = self._read()
        for before, after, size in zip(self._last, now, self._ranges, strict=True):
            self._total += after - before if after >= before else after - before + size
        self._last = now
        return self._total / 1e6

    def _read(self) -> list[int]:
        return [_number(zone / "energy_uj") for zone in self._zones]


def _number(path: Path) -> int:
    return int(path.read_text())


def _throttle_count(processors: Path) -> int | None:
    """How often processors have slowed down because of heat since the system started."""
    try:
        counts = [_number(path) for path in processors.glob(_THROTTLE_COUNTS)]
    except (OSError, ValueError):
        return None
    return sum(counts) if counts else None


def _nvml_counter(device: torch.device) -> Callable[[], float] | None:
    with suppress(Exception):  # no library, no driver, no such counter on this GPU: not measured
        nvml, handle = _nvml(device)
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        return lambda: float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
    return None


def _gpu_is_hot(device: torch.device) -> bool | None:
    with suppress(Exception):  # as for energy: not known
        nvml, handle = _nvml(device)
        heat = nvml.nvmlClocksEventReasonSwThermalSlowdown | nvml.nvmlClocksEventReasonHwThermalSlowdown
        return bool(nvml.nvmlDeviceGetCurrentClocksEventReasons(handle) & heat)
    return None


def _nvml(device: torch.device):  # type: ignore[no-untyped-def]  # pynvml has no types
    import pynvml

    pynvml.nvmlInit()
    # By its UUID: NVML numbers every GPU, torch those that CUDA_VISIBLE_DEVICES leaves.
    uuid = torch.cuda.get_device_properties(device).uuid
    return pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
