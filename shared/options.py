"""What a caller may ask of a transcription, and its canonical form, which is part of the cache key."""

from enum import Enum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

#: Whisper's language codes (openai/whisper, tokenizer.py).
LANGUAGES = frozenset(
    "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr ht hu hy id is it "
    "ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru sa sd si sk sl sn "
    "so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo zh yue".split()
)


class Task(str, Enum):
    """Write down what is said, or say it in English."""

    TRANSCRIBE = "transcribe"
    TRANSLATE = "translate"


class Priority(str, Enum):
    """The lane a job waits in; interactive is served first."""

    INTERACTIVE = "interactive"
    BATCH = "batch"


class TranscriptionOptions(BaseModel):
    """Everything that changes the transcript of given audio by a given model. None means the worker's default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: str | None = None
    task: Task = Task.TRANSCRIBE
    prompt: Annotated[str, Field(max_length=2000)] | None = None
    hotwords: Annotated[str, Field(max_length=1000)] | None = None
    beam_size: Annotated[int, Field(ge=1, le=20)] | None = None
    temperature: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    vad: bool = True
    word_timestamps: bool = False

    @field_validator("language", mode="before")
    @classmethod
    def _known_language(cls, value: object) -> object:
        if value in (None, "", "auto"):
            return None
        if not isinstance(value, str) or value.lower() not in LANGUAGES:
            raise ValueError("is no Whisper language code such as en, de or zh; leave it out to detect the language")
        return value.lower()

    @field_validator("prompt", "hotwords", mode="after")
    @classmethod
    def _nothing_is_none(cls, value: str | None) -> str | None:
        return value or None

    def canonical(self) -> str:
        """The same string for the same request, whatever the order and defaults it was written with."""
        return self.model_dump_json()


class Submission(TranscriptionOptions):
    """All fields of a submit: the transcription's options, and how the job is to be treated."""

    model: Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/@-]*$")] | None = None
    priority: Priority = Priority.INTERACTIVE
    metadata: dict[str, Any] | None = None
    #: From submit to start, and from submit to end.
    start_deadline_seconds: Annotated[int, Field(ge=1, le=604_800)] | None = None
    deadline_seconds: Annotated[int, Field(ge=1, le=604_800)] | None = None

    def options(self) -> TranscriptionOptions:
        """The part that decides the transcript."""
        return TranscriptionOptions(**self.model_dump(include=set(TranscriptionOptions.model_fields)))
