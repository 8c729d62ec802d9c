"""Blocks of any rate and number of channels become a model's samples; levels and cancelled channels are measured."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.audio.enhance import enhance
from shared.audio.request import SAMPLE_RATE_HZ
from shared.audio.sound import Sound, SoundFull, normalize
from shared.errors import UnsupportedAudio
from tests.audio_files import tone


def room(seconds: float = 20.0, rows: int = 1) -> NDArray[np.float32]:
    return np.zeros((rows, int(seconds * SAMPLE_RATE_HZ)), np.float32)


def stereo(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.stack([left, right], axis=1)


def power(samples: NDArray[np.float32]) -> float:
    return float(np.mean(samples**2))


@given(runs=st.lists(st.tuples(st.sampled_from([8_000, 16_000, 44_100, 48_000]), st.integers(1, 3), st.integers(100, 90_000))))
def test_the_result_is_as_long_as_its_runs_whatever_their_rates(runs: list[tuple[int, int, int]]) -> None:
    runs = runs[:6] or [(16_000, 1, 100)]
    sound, seconds = Sound(room(80)), 0.0
    for rate_hz, channels, frames in runs:
        for start in range(0, frames, 5_000):
            sound.add(np.zeros((min(5_000, frames - start), channels), np.float32), rate_hz)
        seconds += frames / rate_hz
    assert sound.end_seconds == pytest.approx(seconds)
    assert abs(sound.finish().shape[1] - seconds * SAMPLE_RATE_HZ) <= 1


def test_silence_stands_where_its_time_says() -> None:
    sound = Sound(room())
    sound.add(tone(1.0)[:, None], SAMPLE_RATE_HZ)
    sound.silence_until(3.5)
    sound.add(tone(1.0, 48_000)[:, None], 48_000)
    filled = sound.finish()[0]
    assert len(filled) == round(4.5 * SAMPLE_RATE_HZ)
    assert not filled[SAMPLE_RATE_HZ : int(3.5 * SAMPLE_RATE_HZ)].any()
    assert power(filled[int(3.6 * SAMPLE_RATE_HZ) :]) == pytest.approx(power(tone()), rel=0.05)


def test_more_than_there_is_room_for_is_told() -> None:
    sound = Sound(room(1.0))
    with pytest.raises(SoundFull):
        sound.add(tone(5.0)[:, None], SAMPLE_RATE_HZ)
    assert sound.finish().shape == (1, SAMPLE_RATE_HZ)


def test_channels_in_opposite_phase_are_heard_as_one_of_them() -> None:
    quiet = np.random.default_rng(0).normal(0, 1e-4, SAMPLE_RATE_HZ * 4).astype(np.float32)
    sound = Sound(room())
    sound.add(stereo(tone(4.0), -tone(4.0) + quiet), SAMPLE_RATE_HZ)
    assert power(sound.finish()[0]) == pytest.approx(power(tone(4.0)), rel=0.05)
    assert sound.cancelled_seconds == pytest.approx(4.0)


@pytest.mark.parametrize("right", [tone(4.0), np.zeros(64_000, np.float32), np.roll(tone(4.0), 18), tone(4.0)[::-1] * 0.1])
def test_other_channels_are_mixed(right: NDArray[np.float32]) -> None:
    sound = Sound(room())
    sound.add(stereo(tone(4.0), right), SAMPLE_RATE_HZ)
    assert np.allclose(sound.finish()[0], (tone(4.0) + right) / 2, atol=1e-6)
    assert sound.cancelled_seconds == 0


def test_split_channels_keep_their_rows_also_when_their_number_changes() -> None:
    sound = Sound(room(rows=8))
    sound.add(tone(1.0)[:, None], SAMPLE_RATE_HZ)
    sound.add(stereo(tone(1.0), -tone(1.0)), SAMPLE_RATE_HZ)
    filled = sound.finish()
    assert filled.shape == (2, 2 * SAMPLE_RATE_HZ)
    assert not filled[1, :SAMPLE_RATE_HZ].any()
    assert np.allclose(filled[1, SAMPLE_RATE_HZ:], -filled[0, SAMPLE_RATE_HZ:])


def test_levels_are_those_of_the_file() -> None:
    sound = Sound(room())
    sound.add(np.clip(4 * tone(2.0), -0.5, 0.5)[:, None] * 2, SAMPLE_RATE_HZ)
    level = sound.level()
    assert level.peak_dbfs == pytest.approx(0.0, abs=0.01) and level.clipped_share > 0.3
    faint = Sound(room())
    faint.add(tone(2.0)[:, None] * 0.01, SAMPLE_RATE_HZ)
    assert faint.level().peak_dbfs == pytest.approx(-54.0, abs=0.1) and faint.level().clipped_share == 0


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(wrong: float) -> None:
    samples = tone(1.0)
    samples[500] = wrong
    sound = Sound(room())
    with pytest.raises(UnsupportedAudio):
        sound.add(samples[:, None], SAMPLE_RATE_HZ)


def test_normalizing_brings_the_peak_to_full_scale_and_leaves_silence_alone() -> None:
    quiet, silent = tone(1.0)[None] * 0.01, np.full((1, 1000), 1e-5, np.float32)
    normalize(quiet, [(0, quiet.shape[1])])
    normalize(silent, [(0, 1000)])
    assert np.abs(quiet).max() == pytest.approx(1.0) and np.abs(silent).max() == pytest.approx(1e-5)


def test_enhancing_cuts_rumble_and_brings_voices_together() -> None:
    seconds = np.arange(4 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    loud_then_quiet = np.sin(2 * np.pi * 440 * seconds) * np.where(seconds < 2, 0.8, 0.05)
    sound = (loud_then_quiet + 0.3 * np.sin(2 * np.pi * 20 * seconds)).astype(np.float32)[None]
    enhance(sound, [(0, sound.shape[1])])
    loud, quiet = sound[0, SAMPLE_RATE_HZ : 2 * SAMPLE_RATE_HZ], sound[0, 3 * SAMPLE_RATE_HZ :]
    assert 20 * np.log10(0.8 / 0.05) - 10 * np.log10(power(loud) / power(quiet)) > 4
    spectrum = np.abs(np.fft.rfft(loud))
    assert spectrum[20] < 0.05 * spectrum[440] and np.abs(sound).max() == pytest.approx(1.0)
