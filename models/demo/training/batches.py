"""Training batches made on the fly from the spoken corpus: joining, augmentation, mel features, targets."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from lexicon import Lexicon
from network import CHARACTERS
from voices import SAMPLE_RATE_HZ

HOP = 160
WINDOW_FRAMES = 3000
WINDOW_SECONDS = 30.0
#: An encoder position is two mel frames: 20 ms.
POSITIONS_PER_SECOND = 50
#: Of the single utterances: how many are put at a later position, and how many have times.
MOVED_SHARE, TIMED_SHARE = 0.5, 0.75
#: Of the joined windows: how many are up to 28 s long, and how many are padded to 30 s.
LONG_SHARE, PADDED_SHARE = 0.35, 0.06


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One utterance of the corpus: its text and its int16 samples."""

    text: str
    samples: NDArray[np.int16]

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE_HZ


@dataclass(frozen=True, kw_only=True)
class Example:
    """A window: float32 samples and what is said in it, as (start_seconds, end_seconds, text).

    `offset_seconds`: where in a 30 s window the samples shall seem to begin (see `Batch.positions`).
    """

    samples: NDArray[np.float32]
    segments: list[tuple[float, float, str]]
    offset_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Batch:
    """mel (batch, 80, frames); tokens (batch, length) with -100 as padding; characters and phonemes flattened for CTC.

    positions (batch,): the encoder position of each row's first frame. A short utterance put at a later position, with its
    times moved as far, teaches all positions and all time tokens without the cost of a long window.
    """

    mel: Tensor
    positions: Tensor
    tokens: Tensor
    characters: Tensor
    character_lengths: Tensor
    phonemes: Tensor
    phoneme_lengths: Tensor
    frame_lengths: Tensor


def load(folder: Path) -> list[Clip]:
    """Every whole shard of a folder, memory-mapped."""
    clips = []
    for index in sorted(folder.glob("*.json")):
        samples, start = np.load(index.with_suffix(".npy"), mmap_mode="r"), 0
        for sentence, length in json.loads(index.read_text()):
            clips.append(Clip(text=sentence, samples=samples[start : start + length]))
            start += length
    return clips


class Features:
    """faster-whisper's log-mel spectrogram, batched in torch, padded with 0.0 in the mel domain as faster-whisper pads."""

    def __init__(self) -> None:
        self.filters = torch.from_numpy(FeatureExtractor().mel_filters)
        self.window = torch.hann_window(400)

    def __call__(self, samples: list[NDArray[np.float32]], frames: int | None = None) -> tuple[Tensor, Tensor]:
        """Mel (batch, 80, frames) and the number of real frames of each."""
        lengths = torch.tensor([len(s) // HOP + 1 for s in samples])
        wide = torch.zeros(len(samples), max(len(s) for s in samples) + HOP)
        for row, s in zip(wide, samples, strict=True):
            row[: len(s)] = torch.from_numpy(s)
        power = torch.stft(wide, 400, HOP, window=self.window, return_complex=True)[..., :-1].abs() ** 2
        log = torch.clamp(self.filters @ power, min=1e-10).log10()
        log = (torch.maximum(log, log.amax(dim=(1, 2), keepdim=True) - 8.0) + 4.0) / 4.0
        real = torch.arange(log.shape[-1])[None, :] < lengths[:, None]
        log = log * real[:, None, :]
        total = frames or min(WINDOW_FRAMES, (log.shape[-1] + 1) // 2 * 2)
        log = log[..., :total]
        return F.pad(log, (0, total - log.shape[-1])), lengths


class Sampler:
    """Draws batches of about `budget_seconds` of audio from clips, in curriculum stages."""

    def __init__(
        self, clips: list[Clip], tokenizer: Tokenizer, seed: int, budget_seconds: float, lexicon: Lexicon, strength: float
    ) -> None:
        """`strength`: 1.0 for the full augmentation, less while the first words are learnt."""
        self.strength = strength
        self.lexicon = lexicon
        self.clips, self.tokenizer, self.budget_seconds = sorted(clips, key=lambda c: len(c.samples)), tokenizer, budget_seconds
        self.rng, self.noise, self.features = random.Random(seed), np.random.default_rng(seed), Features()
        self.seconds = np.array([c.seconds for c in self.clips])

    def single(self, longest_seconds: float) -> Iterator[Batch]:
        """One utterance a window, lengths within a batch alike."""
        while True:
            end = int(np.searchsorted(self.seconds, longest_seconds))
            anchor = self.rng.randrange(end)
            count = max(4, int(self.budget_seconds / (self.seconds[anchor] + 0.6)))
            near = range(max(0, anchor - 8 * count), min(end, anchor + 8 * count))
            rows = self.rng.sample(near, min(count, len(near)))
            yield self._batch([self._moved(self._example([self.clips[i]])) for i in rows])

    def joined(self) -> Iterator[Batch]:
        """Several utterances a window with pauses of 0.25-1.2 s; `LONG_SHARE` of the windows up to 28 s."""
        while True:
            dice = self.rng.random()
            limit = 28.0 if dice < LONG_SHARE else self.rng.uniform(3.0, 14.0)
            count = max(3, int(self.budget_seconds / limit))
            pad_to = WINDOW_FRAMES if dice < PADDED_SHARE else None
            count = max(3, count // 2) if pad_to else count
            yield self._batch([self._example(self._fill(limit)) for _ in range(count)], pad_to)

    def _fill(self, limit_seconds: float) -> list[Clip]:
        """Clips for a window; half of the long windows overflow, so that the last utterance is cut at 30 s."""
        chosen, total = [], 0.0
        overflow = limit_seconds > 20 and self.rng.random() < 0.5
        limit_seconds += 4.0 if overflow else 0.0
        while True:
            clip = self.clips[self.rng.randrange(len(self.clips))]
            total += clip.seconds * 1.13 + 1.2
            if total > limit_seconds and chosen and not overflow:
                return chosen
            if clip.seconds * 1.13 < 27:
                chosen.append(clip)
            if total > limit_seconds:
                return chosen

    def _moved(self, example: Example) -> Example:
        """The same samples, as if they began later in the window."""
        room = WINDOW_SECONDS - 0.1 - len(example.samples) / SAMPLE_RATE_HZ
        if room <= 0 or self.rng.random() > MOVED_SHARE:
            return example
        offset = int(self.rng.uniform(0, room) * POSITIONS_PER_SECOND) / POSITIONS_PER_SECOND
        segments = [(start + offset, end + offset, sentence) for start, end, sentence in example.segments]
        return replace(example, segments=segments, offset_seconds=offset)

    def _example(self, clips: list[Clip]) -> Example:
        position = self.rng.choice((0.0, 0.0, self.rng.uniform(0, 0.6)))
        parts, segments = [np.zeros(int(position * SAMPLE_RATE_HZ), np.float32)], []
        for clip in clips:
            samples = self._speak(clip)
            seconds = len(samples) / SAMPLE_RATE_HZ
            segments.append((position, position + seconds, clip.text))
            pause = self.rng.uniform(0.25, 1.2)
            parts += [samples, np.zeros(int(pause * SAMPLE_RATE_HZ), np.float32)]
            position += seconds + int(pause * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
        parts[-1] = parts[-1][: int(self.rng.choice((0.0, self.rng.uniform(0, 0.9))) * SAMPLE_RATE_HZ)]
        return Example(samples=self._room(np.concatenate(parts)[: WINDOW_FRAMES * HOP]), segments=segments)

    def _speak(self, clip: Clip) -> NDArray[np.float32]:
        """The clip with another vocal tract (resampling) and another microphone (spectral tilt)."""
        samples = clip.samples.astype(np.float32) / 32768
        if self.rng.random() < 0.6 * self.strength:
            length = int(len(samples) * self.rng.uniform(0.87, 1.13))
            samples = np.interp(np.linspace(0, len(samples) - 1, length), np.arange(len(samples)), samples).astype(np.float32)
        if self.rng.random() < 0.35 * self.strength:
            samples = np.append(samples[:1], samples[1:] + np.float32(self.rng.uniform(-0.6, 0.6)) * samples[:-1])
        return samples

    def _room(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Another level, and in two thirds of the windows white noise 16-35 dB below the speech."""
        if self.rng.random() < 0.67:
            level = float(np.sqrt(np.mean(samples**2) + 1e-9)) / 10 ** (self.rng.uniform(16, 35) / 20)
            samples = samples + self.noise.standard_normal(len(samples), dtype=np.float32) * np.float32(level)
        return samples * np.float32(self.rng.uniform(0.05, 0.9) / max(1e-6, float(np.abs(samples).max())))

    def _batch(self, examples: list[Example], frames: int | None = None) -> Batch:
        mel, lengths = self.features([e.samples for e in examples], frames)
        self._mask(mel, lengths)
        rows = [self._tokens(e.segments) for e in examples]
        tokens = torch.full((len(rows), max(map(len, rows))), -100)
        for row, ids in zip(tokens, rows, strict=True):
            row[: len(ids)] = torch.tensor(ids)
        said = [" ".join(t for _, end, t in e.segments if end <= WINDOW_SECONDS) for e in examples]
        spoken, sounds = [[CHARACTERS.index(c) + 1 for c in s] for s in said], [self.lexicon(s) for s in said]
        return Batch(
            mel=mel,
            positions=torch.tensor([round(e.offset_seconds * POSITIONS_PER_SECOND) for e in examples]),
            tokens=tokens,
            characters=torch.tensor([c for s in spoken for c in s]),
            character_lengths=torch.tensor([len(s) for s in spoken]),
            phonemes=torch.tensor([p for s in sounds for p in s]),
            phoneme_lengths=torch.tensor([len(s) for s in sounds]),
            frame_lengths=((lengths + 1) // 2).clamp(max=mel.shape[-1] // 2),
        )

    def _mask(self, mel: Tensor, lengths: Tensor) -> None:
        """SpecAugment: one band of up to 12 mel bins and spans of up to 120 ms."""
        for row, length in zip(mel, lengths.tolist(), strict=True):
            if self.rng.random() < 0.6 * self.strength:
                band, width = self.rng.randrange(70), self.rng.randint(2, 12)
                row[band : band + width] = row.mean()
            if self.rng.random() < 0.4 * self.strength:
                start, width = self.rng.randrange(max(1, length)), self.rng.randint(2, 12)
                row[:, start : start + width] = row.mean()

    def _tokens(self, segments: list[tuple[float, float, str]]) -> list[int]:
        """`TIMED_SHARE` of the single utterances with timestamps; several segments always with."""
        special = self.tokenizer.token_to_id
        encode = lambda t: self.tokenizer.encode(" " + t, add_special_tokens=False).ids  # noqa: E731
        ids = self._earlier_text(encode)
        if len(segments) == 1 and self.rng.random() > TIMED_SHARE:
            ids += [special("<|notimestamps|>"), *encode(segments[0][2])]
        else:
            for start, end, sentence in segments:
                if start < WINDOW_SECONDS - 0.1:
                    ids += [self._time(start)]
                if end <= WINDOW_SECONDS:
                    ids += [*encode(sentence), self._time(end)]
        return [*ids, special("<|endoftext|>")]

    def _earlier_text(self, encode: Callable[[str], list[int]]) -> list[int]:
        """The prompt: now and then with earlier text before it, as `initial_prompt` and hotwords put it there."""
        special = self.tokenizer.token_to_id
        start = [special("<|startoftranscript|>")]
        if self.rng.random() > 0.12:
            return start
        return [special("<|startofprev|>"), *encode(self.clips[self.rng.randrange(len(self.clips))].text), *start]

    def _time(self, seconds: float) -> int:
        return int(self.tokenizer.token_to_id("<|0.00|>")) + min(1500, round(seconds / 0.02))
