"""What the wav header tells without libsndfile must be what libsndfile tells."""

import io
import struct

import pytest
import soundfile
from hypothesis import example, given
from hypothesis import strategies as st

from shared.audio import AudioInfo, Container, probe
from shared.wav import plain_frames
from tests.audio_files import tone, wav, with_soundfile


def plain(rate: int, channels: int, bits: int, frames: int) -> bytes:
    """The wav that most programs write."""
    frame = channels * bits // 8
    data = bytes(range(256)) * (frames * frame // 256 + 1)
    shape = (16, 1, channels, rate, rate * frame, frame, bits)
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + frames * frame, b"WAVE", b"fmt ", *shape, b"data", frames * frame)
    return head + data[: frames * frame]


@given(
    rate=st.integers(1, 768_000),
    channels=st.integers(1, 8),
    bits=st.sampled_from([8, 16, 24, 32]),
    frames=st.integers(1, 3000),
)
def test_a_plain_wav_is_what_libsndfile_says(rate: int, channels: int, bits: int, frames: int) -> None:
    content = plain(rate, channels, bits, frames)
    with soundfile.SoundFile(io.BytesIO(content)) as opened:
        assert plain_frames(content) == opened.frames == frames
        expected = AudioInfo(Container.WAV, opened.frames / opened.samplerate, opened.samplerate, opened.channels)
    assert probe(content, min_seconds=0, max_seconds=1e9) == expected


@given(at=st.integers(0, 43), value=st.integers(0, 255), longer=st.integers(-3, 3))
@example(at=0, value=0, longer=0)
def test_a_header_with_one_wrong_byte_is_still_read_as_libsndfile_reads_it_or_left_to_it(
    at: int, value: int, longer: int
) -> None:
    content = bytearray(plain(16_000, 1, 16, 400))
    content[at] = value
    damaged = bytes(content[: len(content) + longer]) + b"\0" * max(0, longer)
    frames = plain_frames(damaged)
    if frames is not None and struct.unpack_from("<I", damaged, 24)[0]:
        with soundfile.SoundFile(io.BytesIO(damaged)) as opened:
            assert frames == opened.frames


@pytest.mark.parametrize(
    "other",
    [
        b"",
        b"RIFF",
        wav(0.1)[:44],
        wav(0.1) + b"LIST",
        with_soundfile(tone(0.1), "WAV", "FLOAT"),
        with_soundfile(tone(0.1), "WAV", "ULAW"),
        with_soundfile(tone(0.1), "FLAC", "PCM_16"),
    ],
)
def test_everything_else_is_left_to_the_libraries(other: bytes) -> None:
    assert plain_frames(other) is None
