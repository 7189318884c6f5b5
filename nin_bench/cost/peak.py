"""The most memory that this process holds between two moments: resident memory, or an accelerator's allocator."""

import ctypes
from contextlib import suppress
from pathlib import Path

import psutil
import torch

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
"""What, written to clear_refs, sets the peak of resident memory back to what is held now (proc(5))."""


class PeakMemory:
    """Memory above what was held when this was made.

    On a CPU it is the peak of resident memory, which the kernel keeps and sets back on demand; where it does not
    (outside Linux, or where a sandbox forbids it) the peak is not known. On an accelerator it is the allocator's.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._known = self.restart()
        self.before = self._held() if self._known or device.type == "cpu" else None
        """What was held then, in bytes; None where the accelerator's allocator does not count."""

    def restart(self) -> bool:
        """Forget the peak so far; whether that could be done."""
        if self._device.type != "cpu":
            with suppress(RuntimeError, NotImplementedError):
                torch.accelerator.reset_peak_memory_stats(self._device)
                return True
            return False
        # What was freed but is still kept for later would hide what is held anew.
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
        try:
            _CLEAR_REFS.write_text(_RESET_PEAK)
        except OSError:
            return False
        return True

    def peak(self) -> int | None:
        """The most that was held since, above `before`, in bytes; None where the system does not tell."""
        if not self._known or self.before is None:
            return None
        most = (
            _resident_peak()
            if self._device.type == "cpu"
            else torch.accelerator.max_memory_allocated(self._device)
        )
        return max(0, int(most) - self.before)

    def _held(self) -> int:
        if self._device.type == "cpu":
            return int(psutil.Process().memory_info().rss)
        return int(torch.accelerator.memory_allocated(self._device))


def _resident_peak() -> int:
    (line,) = (line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
