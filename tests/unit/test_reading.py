"""Kinds of files that were once read wrongly, each made here, and the length that a probe finds for each."""

import subprocess
from pathlib import Path

import imageio_ffmpeg  # type: ignore[import-untyped]
import numpy as np
import pytest

from shared.audio.decode import decode
from shared.audio.probe import probe
from shared.audio.report import Decoded
from shared.audio.request import SAMPLE_RATE_HZ, Wanted
from tests.audio_files import tone, with_av, with_soundfile

LIMIT_SECONDS = 60.0


def ffmpeg(folder: Path, name: str, *arguments: str) -> bytes:
    """The file of this name that FFmpeg makes with these arguments."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments, str(folder / name)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return (folder / name).read_bytes()


def decoded(content: bytes) -> Decoded:
    return decode(content, Wanted(max_seconds=LIMIT_SECONDS), np.zeros((1, int(LIMIT_SECONDS * SAMPLE_RATE_HZ)), np.float32))


def codes(found: Decoded) -> list[str]:
    return [warning.code.value for warning in found.warnings]


def sine(seconds: float, rate_hz: int = 48_000, channels: int = 1) -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"sine=r={rate_hz}:d={seconds}", "-ac", str(channels))


@pytest.mark.parametrize(("name", "codec"), [("a.m4a", "aac"), ("a.ogg", "libopus"), ("a.wv", "wavpack"), ("a.flac", "flac")])
def test_eight_channels_are_taken(tmp_path: Path, name: str, codec: str) -> None:
    found = decoded(ffmpeg(tmp_path, name, *sine(2, channels=8), "-c:a", codec))
    assert found.seconds == pytest.approx(2.0, abs=0.1) and found.audio.channels == 8


def test_a_trimmed_mp4_begins_where_its_edit_does(tmp_path: Path) -> None:
    ffmpeg(tmp_path, "whole.mp4", *sine(6), "-c:a", "aac")
    content = ffmpeg(tmp_path, "cut.mp4", "-ss", "2.65", "-i", str(tmp_path / "whole.mp4"), "-c", "copy")
    assert decoded(content).seconds == pytest.approx(6 - 2.65, abs=0.1)
    assert probe(content, track=None, max_seconds=LIMIT_SECONDS).seconds == pytest.approx(6 - 2.65, abs=0.1)


def test_a_file_within_a_file_is_no_programme_of_its_own(tmp_path: Path) -> None:
    content = ffmpeg(tmp_path, "hybrid.mp4", *sine(4), "-c:a", "aac", "-movflags", "+hybrid_fragmented")
    assert decoded(content).seconds == pytest.approx(4.0, abs=0.1) and not codes(decoded(content))


def test_a_rate_that_falls_in_the_middle_of_adts_loses_nothing(tmp_path: Path) -> None:
    content = ffmpeg(tmp_path, "a.aac", *sine(2)) + ffmpeg(tmp_path, "b.aac", *sine(10, 16_000), "-ar", "16000")
    assert decoded(content).seconds == pytest.approx(12.0, abs=0.3)
    assert probe(content, track=None, max_seconds=LIMIT_SECONDS).seconds == pytest.approx(12.0, abs=0.3)


def test_a_cover_behind_the_sound_does_not_count_as_sound() -> None:
    cover = bytes(1_000_000)
    tag = cover + b"APETAGEX" + (2000).to_bytes(4, "little") + (len(cover) + 32).to_bytes(4, "little") + bytes(16)
    assert decoded(with_soundfile(tone(3.0), "MP3", "MPEG_LAYER_III") + tag).seconds == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize("place", [0.7, 0.8, 0.97])
def test_a_flipped_bit_in_an_ogg_page_is_told(place: float) -> None:
    content = bytearray(with_soundfile(tone(6.0), "OGG", "VORBIS"))
    content[int(place * len(content))] ^= 1
    assert codes(decoded(bytes(content))) == ["audio_incomplete"]


def test_frames_that_are_damaged_at_the_very_beginning_are_told() -> None:
    content = bytearray(with_soundfile(np.random.default_rng(0).normal(0, 0.1, 96_000).astype(np.float32), "FLAC", "PCM_16"))
    begins = content.index(b"\xff\xf8")
    content[begins + 40 : begins + 200] = bytes(160)
    assert "audio_incomplete" in codes(decoded(bytes(content)))


def test_recordings_that_were_joined_are_heard_to_the_end() -> None:
    one = with_av(tone(2.0), "webm", "libopus")
    assert decoded(one + one).seconds == pytest.approx(4.0, abs=0.1)


def test_a_file_of_another_container_behind_the_first_is_told() -> None:
    content = with_av(tone(2.0), "webm", "libopus") + with_av(tone(2.0), "mp4", "aac")
    assert codes(decoded(content)) == ["audio_incomplete"]
