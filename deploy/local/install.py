"""Makes the virtual environment and installs the fleet into it. Needs only Python's standard library.

python3 deploy/local/install.py VENV EXTRAS   (EXTRAS such as gateway,worker)
"""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
OLDEST_PYTHON = (3, 10)
#: Seconds between two progress lines when the output is not a terminal, so that a line cannot overwrite the one before.
SIGN_OF_LIFE_SECONDS = 10.0


def main() -> int:
    """Make the environment, install into it, and return the exit code."""
    if sys.version_info < OLDEST_PYTHON:
        print(f"Python 3.10 or newer is needed; this is {sys.version.split()[0]}. Try: make PYTHON=python3.11")
        return 1
    venv, extras = Path(sys.argv[1]), sys.argv[2]
    started = time.monotonic()
    print(f"Installing {extras} into {venv}/ (a first run downloads some 200 MB and takes a minute or two)", flush=True)
    if not _make(venv) or not _install(venv, extras):
        return 1
    for stamp in {"local", extras}:
        venv.joinpath(f".installed-{stamp}").touch()
    print(f"Installed in {time.monotonic() - started:.0f} s", flush=True)
    return 0


def _make(venv: Path) -> bool:
    if venv.joinpath("bin", "pip").exists():
        return True
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=False)
    if made.returncode:
        print("No virtual environment could be made. On Debian and Ubuntu: apt install python3-venv")
    return made.returncode == 0


def _install(venv: Path, extras: str) -> bool:
    """Run pip and show its many lines as one progress line. If pip fails, print its last 30 lines."""
    wanted = "gateway,worker,client,local" if extras == "local" else extras
    command = [str(venv / "bin" / "python"), "-m", "pip", "install", "--no-input", "--progress-bar", "off"]
    command += ["-c", "requirements.lock", "-e", f".[{wanted}]"]
    environment = os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONUNBUFFERED": "1"}
    lines: list[str] = []
    progress = _Progress()
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        assert pip.stdout is not None
        for line in pip.stdout:
            lines.append(line)
            progress.show(line)
    progress.end()
    if pip.returncode:
        print("".join(lines[-30:]))
    return pip.returncode == 0


class _Progress:
    """Shows what pip does now: on a terminal one line that changes, elsewhere a new line now and then."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._packages = 0
        self._last = time.monotonic()

    def show(self, line: str) -> None:
        verb, _, rest = line.strip().partition(" ")
        if verb not in ("Collecting", "Downloading", "Using", "Building", "Installing"):
            return
        self._packages += verb == "Collecting"
        what = f"  {self._packages} packages  {verb.lower()} {rest.split(' (')[0]}"
        if self._terminal:
            print(f"\r\033[K{what[:100]}", end="", flush=True)
        elif time.monotonic() - self._last > SIGN_OF_LIFE_SECONDS:
            self._last = time.monotonic()
            print(what[:100], flush=True)

    def end(self) -> None:
        if self._terminal:
            print("\r\033[K", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
