"""`whisper-fleet calibrate` on the sample clips."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Clip
from tests.processes import ROOT


def calibrated(*arguments: str | Path, columns: int = 80, model: str = "demo") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "client", "calibrate", *map(str, arguments)]
    environment = os.environ | {"COLUMNS": str(columns), "WHISPER_MODEL": model}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def with_references(clips: list[Clip], folder: Path) -> Path:
    for clip in clips:
        (folder / f"{clip.path.stem}.txt").write_text(clip.text.upper())
    return folder


@pytest.mark.parametrize("columns", [80, 40])
def test_it_compares_windows_and_encoders_and_says_what_to_do(clips: list[Clip], tmp_path: Path, columns: int) -> None:
    short = [clip for clip in clips if not clip.segments][:3]
    chosen = ["--encoder", "ctranslate2"] if columns == 40 else []
    shown = calibrated("--references", with_references(short, tmp_path), *chosen, *(clip.path for clip in short), columns=columns)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert max(map(len, shown.stdout.splitlines())) <= columns
    said = " ".join(shown.stdout.split())
    for expected in ("full", "trimmed", "adaptive", "errors", "Recommended: WHISPER_ENCODER=", "Took "):
        assert expected in said
    assert "3 with a reference" in said


def test_a_configuration_can_be_chosen(clips: list[Clip]) -> None:
    shown = calibrated("--encoder", "ctranslate2", "--window", "trimmed", clips[0].path)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "trimmed" in shown.stdout and "none with a reference" in shown.stdout
    assert "adaptive" not in shown.stdout and "openvino" not in shown.stdout


def test_files_that_cannot_be_used_are_named(clips: list[Clip], tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    for bad in (clips[0].path.with_name("transcripts.json"), tmp_path / "empty.wav"):
        shown = calibrated(clips[0].path, bad)
        assert (shown.returncode, bad.name in shown.stdout.replace("\n", "")) == (1, True), shown.stdout


def test_a_model_that_cannot_be_loaded_and_windows_that_do_not_exist(clips: list[Clip]) -> None:
    shown = calibrated(clips[0].path, model="/nowhere/model")
    assert (shown.returncode, "cannot be used" in shown.stdout) == (1, True), shown.stdout
    shown = calibrated("--window", "sideways", clips[0].path)
    assert (shown.returncode, "full, trimmed, adaptive" in shown.stderr) == (2, True), shown.stderr
