"""honcho's process manager, made to stop in order whenever the signal comes and whoever gets it."""

import signal
from types import FrameType

import honcho.manager

from deploy.local.make_watch import MakeWatch
from deploy.local.stopping import SIGNALS


class ForegroundManager(honcho.manager.Manager):  # type: ignore[misc] # honcho carries no types
    """Runs until a process ends or somebody says stop: SIGINT, SIGTERM or SIGHUP to us, or to the make above us."""

    def __init__(self, patience_seconds: float) -> None:
        super().__init__()
        # honcho kills what is left after 5 s; a worker may need longer to hand its job back.
        honcho.manager.KILL_WAIT = patience_seconds
        self._watch = MakeWatch()
        self.told_to_stop = False

    def _start(self) -> None:
        """honcho's own handlers act within the signal, even before it knows its processes; ours leave a note."""

        def note(_signal: int, _frame: FrameType | None) -> None:
            self.told_to_stop = True

        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in SIGNALS:
            signal.signal(number, note)
        super()._start()

    def _any_stopped(self) -> bool:
        """honcho asks this in every turn of its loop once all processes run: the place to read the note."""
        self.told_to_stop = self.told_to_stop or self._watch.wants_stop()
        if self.told_to_stop:
            self.terminate()
        return bool(super()._any_stopped())
