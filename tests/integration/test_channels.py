"""Calls with a speaker on each channel, files with several tracks, and raw PCM: through the whole stack."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.audio_files import with_soundfile
from tests.conftest import CLIPS, Clip
from tests.processes import Stack

RATE_HZ = 16_000
#: A made-up call: the speaker (1 or 2), the start (seconds), the clip. Now and then both speak at once.
CALL = (
    (1, 0.3, "everyday_000.wav"),
    (2, 2.4, "everyday_006.wav"),
    (1, 5.6, "everyday_005.wav"),
    (2, 7.0, "everyday_007.wav"),
    (1, 10.0, "everyday_003.wav"),
    (2, 13.2, "everyday_002.wav"),
)


def samples_of(name: str) -> NDArray[np.float32]:
    samples, _ = soundfile.read(CLIPS / name, dtype="float32")
    return np.asarray(samples, np.float32)


def call(seconds: float, repeats: int = 1) -> NDArray[np.float32]:
    """The call's samples, shape (samples, 2); every repeat takes `seconds`."""
    sound = np.random.default_rng(0).normal(0, 5e-4, (int(seconds * repeats * RATE_HZ), 2)).astype(np.float32)
    for number in range(repeats):
        for channel, at, name in CALL:
            samples, start = samples_of(name), int((at + number * seconds) * RATE_HZ)
            sound[start : start + len(samples), channel - 1] += samples
    return sound


def transcribed(stack: Stack, content: bytes, query: str) -> dict[str, Any]:
    with stack.client() as client:
        answer = client.post(f"/v1/jobs?wait=60&{query}", content=content)
        assert answer.status_code == 200, answer.text
        job: dict[str, Any] = answer.json()
        assert job["status"] == "completed", job["error"]
        return job


def text_of(stack: Stack, job_id: str, form: str) -> str:
    with stack.client() as client:
        return client.get(f"/v1/jobs/{job_id}/result?format={form}").text


def said(clips: list[Clip], channel: int) -> list[str]:
    texts = {clip.name: clip.text for clip in clips}
    return [texts[name] for number, _, name in CALL if number == channel]


def test_every_sentence_of_a_call_is_under_its_channel_in_order_of_time(stack: Stack, clips: list[Clip]) -> None:
    job = transcribed(stack, with_soundfile(call(16.5), "FLAC", "PCM_16"), "channels=split&word_timestamps=true")
    segments = job["result"]["segments"]
    for channel in (1, 2):
        heard = " ".join(segment["text"] for segment in segments if segment["channel"] == channel)
        assert heard == " ".join(said(clips, channel))
    starts = [segment["start"] for segment in segments]
    assert starts == sorted(starts) and [segment["id"] for segment in segments] == list(range(len(segments)))
    assert all(word["channel"] == segment["channel"] for segment in segments for word in segment["words"])
    assert job["audio"]["channels"] == 2 and job["result"]["audio"]["level"]["peak_dbfs"] < 0


def test_each_text_form_says_who_speaks(stack: Stack) -> None:
    job = transcribed(stack, with_soundfile(call(16.5), "WAV", "PCM_16"), "channels=split")
    vtt, srt, text, tsv = (text_of(stack, job["job_id"], form) for form in ("vtt", "srt", "text", "tsv"))
    assert "<v Channel 1>" in vtt and "<v Channel 2>" in vtt
    for form in (srt, text, tsv):
        assert "Channel 1: " in form and "Channel 2: " in form
    assert len(text.splitlines()) == len(CALL)
    assert "Channel" not in job["result"]["transcript"]


def test_a_long_call_is_cut_by_channel_and_put_together_again(stack: Stack, clips: list[Clip]) -> None:
    job = transcribed(stack, with_soundfile(call(17.0, repeats=5), "FLAC", "PCM_16"), "channels=split")
    segments = job["result"]["segments"]
    for channel in (1, 2):
        heard = " ".join(segment["text"] for segment in segments if segment["channel"] == channel)
        assert heard == " ".join(said(clips, channel) * 5)
    assert [segment["start"] for segment in segments] == sorted(segment["start"] for segment in segments)
    assert job["result"]["duration"] == pytest.approx(85.0, abs=0.01) and job["audio"]["level"]


def test_a_mix_is_one_speaker(stack: Stack, clips: list[Clip]) -> None:
    sound = np.stack([samples_of("everyday_001.wav")] * 2, axis=1)
    job = transcribed(stack, with_soundfile(sound, "FLAC", "PCM_16"), "channels=mix")
    assert "channel" not in job["result"]["segments"][0] and "<v" not in text_of(stack, job["job_id"], "vtt")


@pytest.mark.parametrize(
    ("encoding", "rate_hz", "query"),
    [("s16le", 16_000, ""), ("f32le", 48_000, ""), ("mulaw", 8_000, ""), ("alaw", 8_000, ""), ("s16le", 16_000, "&channels=2")],
)
def test_raw_pcm_is_heard_when_the_caller_says_what_it_is(
    stack: Stack, tmp_path: Path, encoding: str, rate_hz: int, query: str
) -> None:
    samples = samples_of("everyday_001.wav")
    sound = np.repeat(samples, 3) if rate_hz == 48_000 else samples[::2] if rate_hz == 8_000 else samples
    sound = np.stack([sound, sound], axis=1) if "channels" in query else sound
    subtype = {"s16le": "PCM_16", "f32le": "FLOAT", "mulaw": "ULAW", "alaw": "ALAW"}[encoding]
    raw = tmp_path / "sound.raw"
    soundfile.write(raw, sound, rate_hz, format="RAW", subtype=subtype, endian="LITTLE")
    job = transcribed(stack, raw.read_bytes(), f"encoding={encoding}&sample_rate={rate_hz}{query}")
    assert job["result"]["duration"] == pytest.approx(len(samples) / RATE_HZ, abs=0.01)
    if rate_hz != 8_000:  # the model hardly knows telephone speech
        assert job["result"]["transcript"] == "the baby has a fever and won't stop crying"


@pytest.mark.parametrize(
    ("query", "code"),
    [("encoding=s16le", "invalid_option"), ("sample_rate=16000", "invalid_option"), ("channels=2", "invalid_option"),
     ("encoding=s17&sample_rate=16000", "invalid_option"), ("track=0", "invalid_option"), ("track=2", "unsupported_audio"),
     ("channels=both", "invalid_option"), ('vad={"threshold":7}', "invalid_option"), ("vad={", "invalid_option")],
)  # fmt: skip
def test_options_that_cannot_be_are_refused(stack: Stack, query: str, code: str) -> None:
    with stack.client() as client:
        answer = client.post(f"/v1/jobs?{query}", content=(CLIPS / "everyday_000.wav").read_bytes())
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text


def test_a_detector_of_speech_takes_its_limits_from_the_caller(stack: Stack) -> None:
    sound = np.concatenate([samples_of("everyday_000.wav"), np.zeros(RATE_HZ, np.float32), samples_of("everyday_005.wav")])
    body = with_soundfile(sound, "FLAC", "PCM_16")
    whole = transcribed(stack, body, "vad=true")
    deaf = transcribed(stack, body, "vad=" + json.dumps({"threshold": 0.99, "min_speech_ms": 10_000}))
    assert whole["result"]["transcript"] and not deaf["result"]["transcript"]
    assert deaf["options"]["vad"]["min_speech_ms"] == 10_000
