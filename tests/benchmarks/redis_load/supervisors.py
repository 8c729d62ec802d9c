"""`python -m tests.benchmarks.redis_load.supervisors COUNT`: real worker processes, except that each has its model inside.

One process imports the worker's code and forks the others, so that they share its memory and start within seconds.
"""

import gc
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from unittest.mock import patch

from deploy.local.processes import dying_with_parent
from tests.benchmarks.redis_load.instant_model import InstantModel
from worker.__main__ import main as run_worker
from worker.supervising import model_keeper


def main(count: int) -> int:
    """Run the supervisors until SIGTERM. Returns 0 if all of them ended well."""
    gc.collect()
    gc.freeze()  # the collector leaves these objects alone, so that their pages stay shared
    with patch.object(model_keeper, "ModelHandle", InstantModel):
        children = [_fork() for _ in range(count)]
    signal.signal(signal.SIGTERM, lambda *_: _stop(children))
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    return 0 if not any(codes) else 1


def _stop(children: Sequence[int]) -> None:
    for child in children:
        with suppress(ProcessLookupError):  # it has ended by itself
            os.kill(child, signal.SIGTERM)


def _fork() -> int:
    """The id of a new process that is a worker."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        if die_with_parent := dying_with_parent():
            die_with_parent()
        code = run_worker()
    finally:
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
