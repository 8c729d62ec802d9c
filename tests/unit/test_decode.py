"""Decodes bytes to samples: every promised format, and limits. In this process: the walls have tests of their own."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from shared.audio.decode import decode
from shared.audio.plain import decode_plain
from shared.audio.probe import probe
from shared.audio.request import SAMPLE_RATE_HZ, Channels, Wanted
from shared.audio.sound import Samples
from shared.audio.wav import plain_wav
from shared.errors import AudioTooLong, MalformedAudio, NotAudio, UnsupportedAudio
from tests.audio_files import FORMATS, RATE_HZ, float_wav_with, tone, wav, with_soundfile


def samples_of(content: bytes, max_seconds: float = 10) -> Samples:
    """The samples that a model gets, without normalizing."""
    buffer = np.zeros((1, int(max_seconds * SAMPLE_RATE_HZ)), np.float32)
    decoded = decode(content, Wanted(max_seconds=max_seconds), buffer)
    return buffer[0, : decoded.samples]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_tone_and_the_length_that_its_probe_tells(name: str) -> None:
    content = FORMATS[name](tone(2.0))
    samples = samples_of(content)
    expected = 1.0 * RATE_HZ * 32_000 / 44_100 if "44.1" in name else 2.0 * RATE_HZ
    assert samples.dtype == np.float32 and samples.ndim == 1
    assert abs(len(samples) - expected) < 0.15 * RATE_HZ
    assert abs(probe(content, track=None, max_seconds=10).seconds - len(samples) / RATE_HZ) < 0.1
    middle = samples[len(samples) // 3 : 2 * len(samples) // 3]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    frequency = np.argmax(spectrum) * RATE_HZ / len(middle)
    assert abs(frequency - (220 * 44_100 / RATE_HZ if "44.1" in name else 220)) < 8


@given(channels=st.integers(1, 4), frames=st.integers(1, 3000), seed=st.integers(0, 2**32 - 1))
def test_a_plain_wav_sounds_as_libsndfile_and_ffmpeg_read_it(channels: int, frames: int, seed: int) -> None:
    samples = np.random.default_rng(seed).integers(-(2**15), 2**15, (frames, channels)).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
    plain = plain_wav(file.getvalue())
    assert plain is not None
    buffer = np.zeros((8, frames + 1), np.float32)
    wanted = Wanted(max_seconds=10, channels=Channels.SPLIT)
    decoded = decode_plain(file.getvalue(), plain, wanted, buffer)
    expected, _ = soundfile.read(io.BytesIO(file.getvalue()), dtype="float32", always_2d=True)
    assert np.array_equal(buffer[: decoded.rows, : decoded.samples], expected.T)
    again = np.zeros_like(buffer)
    decode(file.getvalue(), wanted, again)
    assert np.array_equal(again, buffer)


@pytest.mark.parametrize("content", [wav(5.0), with_soundfile(tone(5.0), "FLAC", "PCM_16")])
def test_a_decode_ends_as_soon_as_it_is_too_long(content: bytes) -> None:
    with pytest.raises(AudioTooLong):
        samples_of(content, max_seconds=2.0)


def test_samples_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(UnsupportedAudio):
        samples_of(float_wav_with(float("nan")))


def test_what_is_no_audio_is_refused() -> None:
    with pytest.raises(NotAudio):
        samples_of(b"<html></html>" * 100)


def test_a_container_without_samples_is_refused() -> None:
    with pytest.raises(MalformedAudio):
        samples_of(wav()[:44])
