"""The pages of the documentation name files, functions, links and make targets that exist."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.processes import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
SCRIPTS = ROOT / "shared" / "jobs" / "scripts"
#: Where a file is looked for that a page names without its folder.
FOLDERS = ("gateway", "worker", "shared", "client", "deploy", "tests", "models", "docs")

#: `path/to/file.py`, `file.lua`, `path/to/file.py:Class.method`.
_REFERENCE = re.compile(r"`([\w./-]+\.(?:py|lua|md|toml|lock|yml))(?::([A-Za-z_][\w.]*))?`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_TARGET = re.compile(r"`make ([a-z][a-z-]*)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def problems_of(page: Path) -> list[str]:
    """What a page names and what is not there."""
    text = page.read_text(encoding="utf-8")
    return [*_missing_references(page, text), *_dead_links(page, text), *_unknown_targets(text)]


def _missing_references(page: Path, text: str) -> Iterator[str]:
    for path, name in sorted(set(_REFERENCE.findall(text))):
        files = _files_called(path, page)
        if not files:
            yield f"{path}: no such file"
        elif name and not any(name in _names_in(file) for file in files):
            yield f"{path}:{name}: no such name in this file"


def _files_called(path: str, page: Path) -> list[Path]:
    """A path counts from the root, from the page or from the scripts; a bare file name means every file of that name."""
    if "/" in path or (ROOT / path).exists():
        return [file for file in (ROOT / path, page.parent / path, SCRIPTS / path) if file.exists()]
    return [file for folder in FOLDERS for file in (ROOT / folder).rglob(path)]


@cache
def _names_in(file: Path) -> frozenset[str]:
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".py":
        return frozenset(_python_names(ast.parse(text).body))
    return frozenset(re.findall(r"^local function (\w+)", text, re.MULTILINE))


def _python_names(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    """Functions, classes and variables, those of classes as `Class.name`."""
    for one in body:
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield prefix + one.name
            if isinstance(one, ast.ClassDef):
                yield from _python_names(one.body, f"{prefix}{one.name}.")
        elif isinstance(one, ast.Assign | ast.AnnAssign):
            targets = one.targets if isinstance(one, ast.Assign) else [one.target]
            yield from (prefix + name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name))


def _dead_links(page: Path, text: str) -> Iterator[str]:
    for link in sorted(set(_LINK.findall(text))):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if "://" in link:
            continue
        if not target.exists():
            yield f"{link}: a dead link"
        elif anchor and anchor not in map(_anchor_of, _HEADING.findall(target.read_text(encoding="utf-8"))):
            yield f"{link}: no such heading"


def _anchor_of(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _unknown_targets(text: str) -> Iterator[str]:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    yield from (f"make {name}: no such target" for name in sorted(set(_TARGET.findall(text)) - targets))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    assert problems_of(page) == []


def test_what_is_not_there_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A page\n`gateway/routes/jobs.py:submit` `gateway/routes/jobs.py:no_such` `gateway/no_such.py` `no_such.lua`\n"
        "`worker/queue/claims.py:Claims.claim` `worker/queue/claims.py:Claims.no_such` `worker/queue/claims.py:LIMITS`\n"
        "`parts/endings.lua:settle` `parts/endings.lua:no_such` `claim.lua`\n"
        "[here](#a-page) [nowhere](#no-such) [gone](no_such.md) [elsewhere](https://example.org/no_such)\n"
        "`make check` `make no-such`\n"
    )
    assert problems_of(page) == [
        "gateway/no_such.py: no such file",
        "gateway/routes/jobs.py:no_such: no such name in this file",
        "no_such.lua: no such file",
        "parts/endings.lua:no_such: no such name in this file",
        "worker/queue/claims.py:Claims.no_such: no such name in this file",
        "#no-such: no such heading",
        "no_such.md: a dead link",
        "make no-such: no such target",
    ]
