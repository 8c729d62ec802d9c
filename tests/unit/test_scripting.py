"""Scripts are made of parts, and their errors name the file and the line."""

import re
from importlib import resources

import pytest

from shared.jobs import scripting
from tests.processes import ROOT

FOLDER = resources.files("shared.jobs.scripts")
SCRIPTS = sorted(path.name.removesuffix(".lua") for path in FOLDER.iterdir() if path.name.endswith(".lua"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_part_stands_once_and_before_those_that_use_it(name: str) -> None:
    files = [file for _, file in scripting.source(name).files]
    assert len(set(files)) == len(files)
    assert files[0] == "parts/prelude.lua"
    assert files[-1] == f"{name}.lua"


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_line_is_found_again_in_its_file(name: str) -> None:
    source = scripting.source(name)
    for number, line in enumerate(source.text.splitlines(), start=1):
        file, _, own = source.located(f"user_script:{number}").rpartition(":")
        assert FOLDER.joinpath(file).read_text().splitlines()[int(own) - 1] == line


def test_what_names_no_line_stays_as_it_is() -> None:
    assert scripting.source("read").located("WRONGTYPE of a key") == "WRONGTYPE of a key"


def test_an_installed_package_has_all_scripts() -> None:
    declared = re.search(r'^"shared.jobs.scripts" = \[(.*)\]$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert declared is not None
    patterns = [pattern.strip(' "') for pattern in declared[1].split(",")]
    folder = ROOT / "shared" / "jobs" / "scripts"
    assert {path for pattern in patterns for path in folder.glob(pattern)} == set(folder.rglob("*.lua"))
