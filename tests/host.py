"""What lies under a measurement and is not the fleet's: processor time that a host gives to other guests."""

import psutil


class HostClock:
    """What the host of a virtual machine has withheld since this was made. Linux counts it (`steal`); elsewhere it is 0."""

    def __init__(self) -> None:
        self._before = psutil.cpu_times()

    def withheld(self) -> float:
        """As a share of all time of all cores, 0 to 1."""
        now = psutil.cpu_times()
        passed = sum(now) - sum(self._before)
        return float(getattr(now, "steal", 0.0) - getattr(self._before, "steal", 0.0)) / passed if passed else 0.0
