"""Every error the fleet tells a caller about. One root; each class has a stable `code` and says whether to try again.

FleetError
├── MalformedRequest            the request cannot be understood
│   ├── InvalidBase64, InvalidJson, UnknownField, MissingAudio, EmptyAudio
│   └── MalformedAudio          damaged; HarmfulAudio: so that its reader died over it
├── AccessDenied                key missing or wrong
├── UnknownJob                  no such job, or somebody else's
├── NoSuchPage, MethodNotAllowed
├── JobNotFinished, JobNotRetryable
├── JobGone                     expired or erased
├── RequestTooLarge
├── NotAudio                    the content is no audio we can read
├── ImpossibleRequest           understood, yet it cannot be done
│   ├── AudioTooLong, AudioTooShort, UnsupportedAudio, IncompleteAudio, InvalidOption, UnknownModel, IdempotencyConflict
├── QueueFull, StoreUnavailable, ReadersUnavailable   the fleet cannot take it now
└── JobFailed                   what a failed job ended with
"""

from typing import ClassVar


class FleetError(Exception):
    """The root. `message` is one sentence for the caller that says what to do next; it never quotes content."""

    code: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class MalformedRequest(FleetError):
    code = "malformed_request"


class InvalidJson(MalformedRequest):
    code = "invalid_json"


class InvalidBase64(MalformedRequest):
    code = "invalid_base64"


class UnknownField(MalformedRequest):
    code = "unknown_field"


class MissingAudio(MalformedRequest):
    code = "missing_audio"


class EmptyAudio(MalformedRequest):
    code = "empty_audio"


class MalformedAudio(MalformedRequest):
    """Recognised as audio, but damaged or cut short."""

    code = "malformed_audio"


class HarmfulAudio(MalformedAudio):
    """Its reader died over it, or used up what a reader may use. `cause`: the signal, or the limit; for the log.

    `will_again`: another reader would fare alike, so the file is remembered and refused at once.
    """

    def __init__(self, message: str, cause: str = "", will_again: bool = True) -> None:
        super().__init__(message)
        self.cause, self.will_again = cause, will_again


class AccessDenied(FleetError):
    code = "access_denied"


class UnknownJob(FleetError):
    code = "unknown_job"


class NoSuchPage(FleetError):
    code = "not_found"


class MethodNotAllowed(FleetError):
    code = "method_not_allowed"


class JobNotFinished(FleetError):
    code = "job_not_finished"
    retryable = True


class JobNotRetryable(FleetError):
    code = "job_not_retryable"


class JobGone(FleetError):
    code = "job_gone"


class RequestTooLarge(FleetError):
    code = "too_large"


class NotAudio(FleetError):
    code = "not_audio"


class ImpossibleRequest(FleetError):
    code = "impossible_request"


class InvalidOption(ImpossibleRequest):
    code = "invalid_option"


class AudioTooLong(ImpossibleRequest):
    code = "audio_too_long"


class AudioTooShort(ImpossibleRequest):
    code = "audio_too_short"


class UnsupportedAudio(ImpossibleRequest):
    """Audio of a kind nobody can transcribe: too many channels, an impossible rate, samples that are no numbers."""

    code = "unsupported_audio"


class IncompleteAudio(ImpossibleRequest):
    """`strict` was asked for, and a part of the audio is missing or damaged."""

    code = "audio_incomplete"


class UnknownModel(ImpossibleRequest):
    code = "unknown_model"


class IdempotencyConflict(ImpossibleRequest):
    code = "idempotency_conflict"


class QueueFull(FleetError):
    """`retry_after_seconds` comes from the measured drain rate."""

    code = "queue_full"
    retryable = True

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class StoreUnavailable(FleetError):
    code = "store_unavailable"
    retryable = True


class ReadersUnavailable(FleetError):
    """The processes that look at audio are away, or have too much to do."""

    code = "readers_unavailable"
    retryable = True


class JobFailed(FleetError):
    """Why a job failed. Unlike the others, the code is the job's own (`not_audio`, `poison_job`, `audio_lost`, ...)."""

    code = "transcription_failed"

    def __init__(self, message: str, job_code: str = "transcription_failed", retryable: bool = False) -> None:
        super().__init__(message)
        self.job_code = job_code
        self.job_retryable = retryable
