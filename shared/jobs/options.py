"""The options of a transcription, and their canonical form, which is part of the cache key."""

from enum import Enum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from shared.audio.request import MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ, Channels, Wanted
from shared.audio.wav import PcmEncoding
from shared.transcripts.languages import language_code

#: Fields added in version 0.2. A field with its default is not written, so that older workers can read the record.
_NEW_FIELDS = ("track", "channels", "strict", "normalize", "enhance")


class Task(str, Enum):
    """Transcribe: write what is said. Translate: write it in English."""

    TRANSCRIBE = "transcribe"
    TRANSLATE = "translate"


class Priority(str, Enum):
    """Whether a caller waits for the transcript. Together with the audio's length it decides the lane (`lane_for`)."""

    INTERACTIVE = "interactive"
    BATCH = "batch"


class VadOptions(BaseModel):
    """How the VAD finds stretches without speech. The VAD is Silero's; the defaults are faster-whisper's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Sound is speech from this probability on.
    threshold: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    #: Shorter sounds are not speech.
    min_speech_ms: Annotated[int, Field(ge=0, le=10_000)] = 0
    #: Only longer silences are taken out.
    min_silence_ms: Annotated[int, Field(ge=0, le=60_000)] = 2_000
    #: How much audio is kept on both sides of speech.
    pad_ms: Annotated[int, Field(ge=0, le=5_000)] = 400


class TranscriptionOptions(BaseModel):
    """All options that change the transcript of the same audio by the same model. None means the worker's default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: str | None = None
    task: Task = Task.TRANSCRIBE
    prompt: Annotated[str, Field(max_length=2000)] | None = None
    hotwords: Annotated[str, Field(max_length=1000)] | None = None
    beam_size: Annotated[int, Field(ge=1, le=20)] | None = None
    temperature: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    vad: bool | VadOptions = True
    word_timestamps: bool = False
    #: Which audio track, counted from 1; None: the file's default track.
    track: Annotated[int, Field(ge=1, le=100)] | None = None
    channels: Channels = Channels.MIX
    #: Refuse audio whose result would carry the warning `audio_incomplete`.
    strict: bool = False
    #: Bring the peak to full scale.
    normalize: bool = True
    #: Cut off rumble, and bring quiet and loud voices closer together.
    enhance: bool = False

    @field_validator("language", mode="before")
    @classmethod
    def _known_language(cls, value: object) -> object:
        if value in (None, "", "auto"):
            return None
        code = language_code(value) if isinstance(value, str) else None
        if code is None:
            raise ValueError("must be a language that Whisper knows, such as en, en-US or english; leave it out to detect it")
        return code

    @field_validator("prompt", "hotwords", mode="after")
    @classmethod
    def _nothing_is_none(cls, value: str | None) -> str | None:
        return value or None

    def canonical(self) -> str:
        """The options as JSON, for the cache key. Equal options give the same string, however the caller wrote them."""
        return self.model_dump_json(exclude={name for name in _NEW_FIELDS if self._is_default(name)})

    def stored(self) -> str:
        """The options as JSON for the job's record, without those that have their default: records must be small."""
        return self.model_dump_json(exclude_defaults=True)

    def _is_default(self, name: str) -> bool:
        return bool(getattr(self, name) == type(self).model_fields[name].default)

    def wanted(self, max_seconds: float) -> Wanted:
        """The part of the options that says what to decode from a file."""
        return Wanted(
            max_seconds=max_seconds, track=self.track, channels=self.channels, normalize=self.normalize, enhance=self.enhance
        )


class Submission(TranscriptionOptions):
    """All fields of a submit: the options of the transcription, and how to treat the job."""

    model: Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/@-]*$")] | None = None
    priority: Priority = Priority.INTERACTIVE
    metadata: dict[str, Any] | None = None
    #: Longest time from submit to start, and from submit to end.
    start_deadline_seconds: Annotated[int, Field(ge=1, le=604_800)] | None = None
    deadline_seconds: Annotated[int, Field(ge=1, le=604_800)] | None = None

    #: The format of the bytes, if they are raw PCM without a header.
    encoding: PcmEncoding | None = None
    sample_rate: Annotated[int, Field(ge=MIN_RATE_HZ, le=MAX_RATE_HZ)] | None = None
    channel_count: Annotated[int, Field(ge=1, le=MAX_CHANNELS)] | None = None

    @model_validator(mode="after")
    def _pcm_is_described(self) -> "Submission":
        if (self.encoding is None) != (self.sample_rate is None):
            raise ValueError("raw PCM needs both encoding and sample_rate; a file with a header needs neither")
        if self.channel_count is not None and self.encoding is None:
            raise ValueError("a number of channels is for raw PCM, beside encoding and sample_rate; files say it themselves")
        return self

    def options(self) -> TranscriptionOptions:
        """The part of the fields that decides the transcript."""
        return TranscriptionOptions(**self.model_dump(include=set(TranscriptionOptions.model_fields)))
