"""Processor time that the host of a virtual machine gives to other guests, and which so disturbs a measurement."""

import psutil


class HostClock:
    """Processor time that the host has withheld since this object was made. Linux counts it (`steal`); elsewhere it is 0."""

    def __init__(self) -> None:
        self._before = psutil.cpu_times()

    def withheld(self) -> float:
        """The withheld time as a share of the time of all cores, 0 to 1."""
        now = psutil.cpu_times()
        passed = sum(now) - sum(self._before)
        return float(getattr(now, "steal", 0.0) - getattr(self._before, "steal", 0.0)) / passed if passed else 0.0
