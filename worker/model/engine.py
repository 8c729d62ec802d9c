"""The loaded model: faster-whisper behind the methods of `EngineProtocol`."""

import hashlib
import threading
import time
from math import exp, isfinite
from pathlib import Path

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import Segment as WhisperSegment
from faster_whisper.utils import download_model
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from shared.audio.request import SAMPLE_RATE_HZ
from shared.audio.sound import Samples
from shared.jobs.options import Task, TranscriptionOptions
from shared.transcripts.transcript import EncoderWindow, Segment, Transcript, Word, join_text
from worker.engine_settings import EngineSettings
from worker.model.batching import BatchingModel
from worker.model.encoder_window import ShortWindowModel
from worker.model.encoders.choice import choose_encoder
from worker.model.engine_protocol import Language, Listener, Nobody
from worker.model.speech import Speech

#: faster-whisper's own fallback ladder, tried in order while a window looks wrong.
TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


class Engine:
    """A model in memory. `transcribe` may be called from several threads."""

    def __init__(self, settings: EngineSettings) -> None:
        """Load the model from a folder; or have faster-whisper download a model's name or Hugging Face id first."""
        self.settings = settings
        # tqdm, which faster-whisper uses, would create a lock between processes. If this process is killed, nothing frees it.
        tqdm.set_lock(threading.RLock())
        # The mel spectrogram would wake numpy's own threads for a millisecond, and they would spin for 100 ms after it.
        threadpool_limits(limits=1, user_api="blas")
        folder = Path(settings.location)
        path = str(folder) if folder.is_dir() else str(download_model(settings.location))
        self.revision = revision_of(Path(path))
        at_once = settings.num_workers or _calls_at_once(settings.device)
        self._model = WhisperModel(
            path,
            device=settings.device,
            compute_type=settings.compute_type,
            cpu_threads=settings.cpu_threads,
            num_workers=at_once,
        )
        self.device = str(self._model.model.device)
        self._first_timestamp = self._model.hf_tokenizer.token_to_id("<|notimestamps|>") + 1
        # faster-whisper would look these tokens up anew for each job; -1 asks it to.
        tokenizer = Tokenizer(self._model.hf_tokenizer, multilingual=False)
        self._suppressed = list(tokenizer.non_speech_tokens) or [-1]
        # In each call, threads pause to wait for each other; a second call at the same time fills these pauses. With a single
        # thread there are no pauses, and two calls would only compete for the processor's cache.
        alone = self.device == "cpu" and settings.cpu_threads == 1
        encoder, self.encoder = choose_encoder(self._model.model, Path(path), settings)
        shared = BatchingModel(
            self._model.model, encoder, settings.batch_size, at_once, max(1, at_once - 1) if alone else at_once
        )
        self._windows = ShortWindowModel(shared, settings.encoder_window)
        self._model.model = self._windows

    def use_window(self, window: EncoderWindow) -> None:
        """Use this encoder window from now on. No transcription may be under way."""
        self._windows.kind = window

    def canary(self) -> None:
        """Transcribe a second of quiet noise: proves that the model decodes, and warms it up. Raises when it does not decode."""
        noise = np.random.default_rng(0).normal(0, 1e-3, SAMPLE_RATE_HZ).astype(np.float32)
        options = TranscriptionOptions(vad=False, beam_size=1, temperature=0.0)
        self.transcribe(noise, options, 0.0, Nobody())

    def transcribe(self, samples: Samples, options: TranscriptionOptions, preprocess_ms: float, listener: Listener) -> Transcript:
        """Decode samples (mono float32, 16 kHz). Threads that decode at the same time share the calls to the model."""
        with self._windows.caller(listener.check, listener.urgent) as windows:
            transcript = self._transcribe(samples, options, preprocess_ms, listener)
        counted = {"short_windows": windows.short, "window_fallbacks": windows.fallbacks}
        return transcript.model_copy(update={"encoder_window": windows.kind, **counted})

    def language_of(self, samples: Samples, options: TranscriptionOptions, listener: Listener) -> Language:
        """The language that the job asks for, else the worker's own, else the one detected in the first 30 s of the samples."""
        with self._windows.caller(listener.check, listener.urgent):
            return self._language(samples, options)

    def _language(self, samples: Samples, options: TranscriptionOptions) -> Language:
        """As `language_of`, within a call of this thread.

        faster-whisper would encode the window for this, and then encode it again for its text, without the last frame, which is
        padding. Without that frame here, too, the window is encoded once.
        """
        known = options.language or self.settings.language if self._windows.is_multilingual else "en"
        if known:
            return Language(known, 1.0)
        extractor = self._model.feature_extractor
        features = extractor(samples[: extractor.n_samples + extractor.n_fft])
        content = features[..., : max(1, features.shape[-1] - 1)]
        ((token, probability),) = self._windows.detect_language(self._model.encode(pad_or_trim(content)))[0][:1]
        return Language(token.strip("<|>"), float(probability))

    def _transcribe(
        self, samples: Samples, options: TranscriptionOptions, preprocess_ms: float, listener: Listener
    ) -> Transcript:
        started = time.perf_counter()
        # An English-only model can only transcribe. The transcript says which task and language were really used.
        task = options.task if self._model.model.is_multilingual else Task.TRANSCRIBE
        speech = Speech(samples, options.vad)
        language = self._language(speech.samples, options)
        found, _ = self._model.transcribe(
            speech.samples,
            language=language.code,
            task=task.value,
            beam_size=options.beam_size or self.settings.beam_size,
            temperature=TEMPERATURES if options.temperature is None else options.temperature,
            initial_prompt=options.prompt,
            hotwords=options.hotwords,
            word_timestamps=options.word_timestamps,
            # Text carried from window to window would keep a loop of repetitions going once it has begun.
            condition_on_previous_text=False,
            suppress_tokens=list(self._suppressed),
        )
        segments = []
        for number, item in enumerate(found):
            speech.place(item, self._first_timestamp)
            segments.append(_segment(number, item))
            listener.on_segment(segments[-1])
        return Transcript(
            transcript=join_text(segments),
            task=task.value,
            language=language.code,
            language_probability=language.probability,
            duration=round(len(samples) / SAMPLE_RATE_HZ, 3),
            segments=segments,
            preprocess_ms=round(preprocess_ms, 1),
            transcribe_ms=round((time.perf_counter() - started) * 1000, 1),
            model=self.settings.name,
            model_revision=self.revision,
            device=self.device,
            encoder=self.encoder.name,
            encoder_precision=self.encoder.precision,
        )


def _calls_at_once(device: str) -> int:
    """How many calls the model runs at the same time, if the settings do not say.

    On a CPU, two: a short call can run beside a long one. On a GPU, one: calls are short, and each needs memory of its own.
    """
    on_gpu = device == "cuda" or (device == "auto" and ctranslate2.get_cuda_device_count() > 0)
    return 1 if on_gpu else 2


def revision_of(folder: Path) -> str:
    """The commit of a Hugging Face snapshot, else a hash of the weights: their size, their first and their last megabyte."""
    if folder.parent.name == "snapshots":
        return folder.name[:12]
    weights, digest = folder / "model.bin", hashlib.sha256()
    with weights.open("rb") as opened:
        digest.update(str(weights.stat().st_size).encode() + opened.read(1 << 20))
        opened.seek(max(0, weights.stat().st_size - (1 << 20)))
        digest.update(opened.read())
    return digest.hexdigest()[:12]


def _finite(value: float) -> float:
    """The value, rounded; -99, the worst score, for NaN and infinity: half precision can overflow to them, JSON has neither."""
    return round(float(value), 4) if isfinite(value) else -99.0


def _segment(number: int, item: WhisperSegment) -> Segment:
    words = [
        Word(word=w.word, start=round(float(w.start), 3), end=round(float(w.end), 3), probability=round(float(w.probability), 4))
        for w in item.words or ()
    ]
    return Segment(
        id=number,
        start=round(float(item.start), 3),
        end=round(float(item.end), 3),
        text=item.text.strip(),
        confidence=round(min(1.0, exp(_finite(item.avg_logprob))), 4),
        avg_logprob=_finite(item.avg_logprob),
        no_speech_prob=_finite(item.no_speech_prob),
        compression_ratio=_finite(item.compression_ratio),
        temperature=float(item.temperature or 0.0),
        tokens=list(item.tokens),
        words=words or None,
    )
