"""Takes the last release out of git, to run it beside this version."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from tests.processes import ROOT

#: The folders of a release that a gateway and a worker with the zoo's models need.
PARTS = ("gateway", "worker", "shared", "tests")
#: This engine is copied into the release, and runs on the release's own zoo and engine protocol.
ENGINE = "tests/faults/numbered.py"
_RELEASED = re.compile(r"^## (\d+\.\d+\.\d+)\s*$", re.MULTILINE)
_WHERE = "import gateway, shared, worker; print(gateway.__file__, shared.__file__, worker.__file__, sep='\\n')"


@dataclass(frozen=True)
class Release:
    """A version of the product, and the folder with its code."""

    version: str
    root: Path

    def environment(self) -> dict[str, str]:
        """The environment in which Python imports the code of this folder, and not that of an editable install."""
        return {"PYTHONPATH": str(self.root)}

    def check(self) -> None:
        """Raises `AssertionError` if Python imports other code than this release's."""
        told = subprocess.run(
            [sys.executable, "-c", _WHERE],
            cwd=self.root,
            env=os.environ | self.environment(),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        paths = [Path(line) for line in told.split("\n") if line]
        assert len(paths) == 3 and all(path.is_relative_to(self.root) for path in paths), told


THIS = Release("this version", ROOT)


def last_release(folder: Path) -> Release | None:
    """The commit that added the newest released heading to CHANGELOG.md, unpacked in `folder`. None without a git history."""
    released = _RELEASED.search((ROOT / "CHANGELOG.md").read_text())
    if released is None or (commit := _added(released[0].rstrip())) is None:
        return None
    archive = _git("archive", "--format=tar", commit, *PARTS)
    if archive is None:
        return None
    release = Release(released[1], folder / f"release-{released[1]}")
    release.root.mkdir(parents=True)
    with tarfile.open(fileobj=BytesIO(archive)) as packed:
        packed.extractall(release.root, filter="data")
    shutil.copy(ROOT / ENGINE, release.root / ENGINE)
    release.check()
    return release


def _added(heading: str) -> str | None:
    """The first commit whose change of CHANGELOG.md has the heading."""
    pattern = f"^{re.escape(heading)}$"
    found = (_git("log", "--reverse", "--format=%H", f"-G{pattern}", "--", "CHANGELOG.md") or b"").split()
    return found[0].decode() if found else None


def _git(*arguments: str) -> bytes | None:
    """The output of git; None if there is no git, or no history."""
    try:
        return subprocess.run([shutil.which("git") or "git", *arguments], cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
