"""`whisper-fleet calibrate` on the sample clips."""

import pytest
from typer import Typer
from typer.testing import CliRunner

from tests.conftest import Clip
from worker.calibrate.command import calibrate
from worker.calibrate.window_comparison import Comparison, recommendation

app = Typer()
app.command()(calibrate)


def compared(full_seconds: float, agreement: float) -> Comparison:
    return Comparison(
        name="a", audio_seconds=3.0, full_seconds=full_seconds, adaptive_seconds=1.0, agreement=agreement, window="adaptive"
    )


def test_it_measures_speed_and_agreement_and_says_what_to_do(clips: list[Clip], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISPER_MODEL", "demo")
    short = [str(clip.path) for clip in clips if not clip.segments][:3]
    shown = CliRunner().invoke(app, short, env={"COLUMNS": "160"})
    assert shown.exit_code == 0, shown.output
    assert "adaptive" in shown.output and "words agree" in shown.output and "WHISPER_ENCODER_WINDOW" in shown.output


@pytest.mark.parametrize(("full", "agreement", "advice"), [(5.0, 1.0, "pays"), (5.0, 0.9, "keep"), (1.1, 1.0, "gains little")])
def test_the_advice(full: float, agreement: float, advice: str) -> None:
    assert advice in recommendation([compared(full, agreement)])


def test_a_file_that_is_no_audio_is_named_as_such(clips: list[Clip], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISPER_MODEL", "demo")
    shown = CliRunner().invoke(app, [str(clips[0].path.with_name("transcripts.json"))])
    assert shown.exit_code == 1
