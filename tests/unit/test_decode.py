"""From bytes to samples: every promised format, and bounds."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import AudioTooLong, MalformedAudio, NotAudio, UnsupportedAudio
from tests.audio_files import FORMATS, RATE_HZ, float_wav_with, tone, wav
from worker.decode import SAMPLE_RATE_HZ, decode


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_tone(name: str) -> None:
    samples = decode(FORMATS[name](tone(2.0)), max_seconds=10)
    expected = 1.0 * RATE_HZ * 32_000 / 44_100 if "44.1" in name else 2.0 * RATE_HZ
    assert samples.dtype == np.float32 and samples.ndim == 1
    assert abs(len(samples) - expected) < 0.15 * RATE_HZ
    middle = samples[len(samples) // 3 : 2 * len(samples) // 3]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    frequency = np.argmax(spectrum) * RATE_HZ / len(middle)
    assert abs(frequency - (220 * 44_100 / RATE_HZ if "44.1" in name else 220)) < 8


@given(channels=st.integers(1, 4), frames=st.integers(1, 3000), seed=st.integers(0, 2**32 - 1))
def test_a_plain_wav_sounds_as_libsndfile_reads_it(channels: int, frames: int, seed: int) -> None:
    samples = np.random.default_rng(seed).integers(-(2**15), 2**15, (frames, channels)).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
    expected, _ = soundfile.read(io.BytesIO(file.getvalue()), dtype="float32", always_2d=True)
    assert np.array_equal(decode(file.getvalue(), max_seconds=10), expected.mean(axis=1, dtype=np.float32))


def test_a_decode_ends_as_soon_as_it_is_too_long() -> None:
    with pytest.raises(AudioTooLong):
        decode(wav(5.0), max_seconds=2.0)


def test_samples_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(UnsupportedAudio):
        decode(float_wav_with(float("nan")), max_seconds=10)


def test_what_is_no_audio_is_refused() -> None:
    with pytest.raises(NotAudio):
        decode(b"<html></html>" * 100, max_seconds=10)


def test_a_container_without_samples_is_refused() -> None:
    with pytest.raises(MalformedAudio):
        decode(wav()[:44], max_seconds=10)
