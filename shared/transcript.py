"""The canonical transcript: what a worker writes, what is cached, and what every format is rendered from."""

from pydantic import BaseModel, ConfigDict


class Word(BaseModel):
    """One word; times in seconds from the start of the audio."""

    model_config = ConfigDict(frozen=True)

    word: str
    start: float
    end: float
    probability: float


class Segment(BaseModel):
    """A stretch of speech; times in seconds. `confidence` is exp(avg_logprob), between 0 and 1."""

    model_config = ConfigDict(frozen=True)

    id: int
    start: float
    end: float
    text: str
    confidence: float
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    temperature: float = 0.0
    tokens: list[int] = []
    words: list[Word] | None = None


class Transcript(BaseModel):
    """What one decode of one audio by one model gave. Free of everything that belongs to a single job."""

    model_config = ConfigDict(frozen=True)

    transcript: str
    task: str = "transcribe"
    language: str
    language_probability: float
    duration: float
    segments: list[Segment]
    preprocess_ms: float
    transcribe_ms: float
    model: str
    model_revision: str
    device: str
    #: `full`, `adaptive` (all windows were short), or `mixed`; how many were short, and how many of these were made anew.
    encoder_window: str = "full"
    short_windows: int = 0
    window_fallbacks: int = 0
    #: Everything about the worker that decides the transcript: what it is cached under.
    decoded_as: str = ""


def join_text(segments: list[Segment]) -> str:
    """The running text of segments."""
    return " ".join(s.text.strip() for s in segments if s.text.strip())
