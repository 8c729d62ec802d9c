"""The machine of a measurement: its processor, and the time that its host gives to other guests."""

import platform
from pathlib import Path

import psutil

#: Those that decide how fast numbers of eight and sixteen bits are multiplied.
INSTRUCTION_SETS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


class HostClock:
    """Processor time that the host has withheld since this object was made. Linux counts it (`steal`); elsewhere it is 0."""

    def __init__(self) -> None:
        self._before = psutil.cpu_times()

    def withheld(self) -> float:
        """The withheld time as a share of the time of all cores, 0 to 1."""
        now = psutil.cpu_times()
        passed = sum(now) - sum(self._before)
        return float(getattr(now, "steal", 0.0) - getattr(self._before, "steal", 0.0)) / passed if passed else 0.0


def processor() -> str:
    """The processor's name and its instruction sets."""
    name = _described().get("model name", platform.machine())
    return " with ".join(filter(None, (name, ", ".join(instruction_sets()))))


def instruction_sets() -> list[str]:
    """Which of `INSTRUCTION_SETS` it has, as far as Linux tells."""
    flags = _described().get("flags", "").split()
    return [name for name in INSTRUCTION_SETS if name in flags]


def multiplies_bf16() -> bool:
    """Whether the processor multiplies bfloat16."""
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(instruction_sets())


def by_processor(*, bf16: float, other: float) -> float:
    """The target for this processor: `bf16` where it multiplies bfloat16, else `other`."""
    return bf16 if multiplies_bf16() else other


def _described() -> dict[str, str]:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    return {name.strip(): value.strip() for name, value in (line.split(":", 1) for line in lines if ":" in line)}
