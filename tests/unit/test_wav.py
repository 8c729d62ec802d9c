"""The length that a wav's header gives here must be the length that libraries give; raw PCM with a header is a wav."""

import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import example, given
from hypothesis import strategies as st

from shared.audio.wav import PcmEncoding, plain_wav, promised_wav_seconds, wav_of_pcm
from tests.audio_files import tone, wav, wav_header, with_soundfile


def plain(rate: int, channels: int, bits: int, frames: int) -> bytes:
    """The wav that most programs write."""
    frame = channels * bits // 8
    data = bytes(range(256)) * (frames * frame // 256 + 1)
    shape = (16, 1, channels, rate, rate * frame, frame, bits)
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + frames * frame, b"WAVE", b"fmt ", *shape, b"data", frames * frame)
    return head + data[: frames * frame]


@given(rate=st.integers(1, 768_000), channels=st.integers(1, 8), frames=st.integers(1, 3000))
def test_a_plain_wav_is_what_libsndfile_says(rate: int, channels: int, frames: int) -> None:
    content = plain(rate, channels, 16, frames)
    found = plain_wav(content)
    assert found is not None
    with soundfile.SoundFile(io.BytesIO(content)) as opened:
        assert (found.frames, found.rate_hz, found.channels) == (opened.frames, opened.samplerate, opened.channels)
    assert promised_wav_seconds(content, 0) == pytest.approx(found.seconds)


@given(at=st.integers(0, 43), value=st.integers(0, 255), longer=st.integers(-3, 3))
@example(at=0, value=0, longer=0)
def test_a_header_with_one_wrong_byte_is_still_read_as_libsndfile_reads_it_or_left_to_ffmpeg(
    at: int, value: int, longer: int
) -> None:
    content = bytearray(plain(16_000, 1, 16, 400))
    content[at] = value
    damaged = bytes(content[: len(content) + longer]) + b"\0" * max(0, longer)
    found = plain_wav(damaged)
    if found is not None and struct.unpack_from("<I", damaged, 24)[0]:
        with soundfile.SoundFile(io.BytesIO(damaged)) as opened:
            assert found.frames == opened.frames


@pytest.mark.parametrize(
    "other",
    [
        b"",
        b"RIFF",
        wav(0.1)[:44],
        wav(0.1) + b"LIST",
        wav(0.1) + wav(0.1),
        plain(16_000, 1, 24, 100),
        with_soundfile(tone(0.1), "WAV", "FLOAT"),
        with_soundfile(tone(0.1), "WAV", "ULAW"),
        with_soundfile(tone(0.1), "FLAC", "PCM_16"),
    ],
)
def test_everything_else_is_left_to_ffmpeg(other: bytes) -> None:
    assert plain_wav(other) is None


@pytest.mark.parametrize("claimed", [0, 0xFFFFFFFF, 0xFFFFFFDB, 0x7FFFFFFF, 0x80000000, 0x80000024])
def test_a_length_that_stands_for_unknown_is_no_promise(claimed: int) -> None:
    assert promised_wav_seconds(wav_header(claimed_bytes=claimed, data=bytes(32_000)), 0) is None


def test_a_wrong_rate_of_bytes_changes_no_length() -> None:
    content = bytearray(wav_header(claimed_bytes=32_000, data=bytes(32_000)))
    content[28:32] = (1).to_bytes(4, "little")
    assert promised_wav_seconds(bytes(content), 0) == 1.0


@pytest.mark.parametrize(("encoding", "dtype"), [(PcmEncoding.S16LE, "<i2"), (PcmEncoding.F32LE, "<f4")])
def test_raw_pcm_with_a_header_is_a_wav(encoding: PcmEncoding, dtype: str) -> None:
    samples = np.stack([tone(0.5), -tone(0.5)], axis=1)
    raw = (samples * 32768).astype(dtype) if dtype == "<i2" else samples.astype(dtype)
    heard, rate = soundfile.read(io.BytesIO(wav_of_pcm(raw.tobytes() + b"x", encoding, 8_000, 2)), dtype="float32")
    assert rate == 8_000 and np.allclose(heard, samples, atol=1e-4)
