"""Every error that the fleet reports to callers. Each class has a stable `code`; `retryable`: another try may succeed.

FleetError
├── MalformedRequest            the request cannot be understood
│   ├── InvalidBase64, InvalidJson, UnknownField, MissingAudio, EmptyAudio
│   └── MalformedAudio          damaged; HarmfulAudio: its reader died or reached a limit
├── AccessDenied                key missing or wrong
├── UnknownJob                  no such job, or a job of another tenant
├── NoSuchPage, MethodNotAllowed
├── JobNotFinished, JobNotRetryable
├── JobGone                     expired or erased
├── RequestTooLarge
├── NotAudio                    the content is not audio that the fleet can read
├── ImpossibleRequest           understood, but it cannot be done
│   ├── AudioTooLong, AudioTooShort, UnsupportedAudio, IncompleteAudio, InvalidOption, UnknownModel, IdempotencyConflict
├── QueueFull, StoreUnavailable, ReadersUnavailable   the fleet cannot take the request now
└── JobFailed                   the error that ended a failed job
"""

from typing import ClassVar


class FleetError(Exception):
    """The root of all errors. `message` is one sentence that tells the caller what to do next. It never quotes content."""

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
    """The content was recognised as audio, but it is damaged or cut short."""

    code = "malformed_audio"


class HarmfulAudio(MalformedAudio):
    """The file's reader died, or reached one of its limits. `cause`: the signal or the limit, for the log.

    `will_again`: another reader would fail in the same way, so the file is remembered and refused at once.
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
    """Audio that cannot be transcribed: too many channels, an impossible sample rate, samples that are not numbers."""

    code = "unsupported_audio"


class IncompleteAudio(ImpossibleRequest):
    """The caller asked for `strict`, and a part of the audio is missing or damaged."""

    code = "audio_incomplete"


class UnknownModel(ImpossibleRequest):
    code = "unknown_model"


class IdempotencyConflict(ImpossibleRequest):
    code = "idempotency_conflict"


class QueueFull(FleetError):
    """Too much audio waits (backpressure), or Redis is full. If the drain rate is known, `retry_after_seconds` comes from it."""

    code = "queue_full"
    retryable = True

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class StoreUnavailable(FleetError):
    code = "store_unavailable"
    retryable = True


class ReadersUnavailable(FleetError):
    """The readers are not there, or have too much to do."""

    code = "readers_unavailable"
    retryable = True


class JobFailed(FleetError):
    """The error that ended a job. `job_code` is the job's own code (`not_audio`, `poison_job`, `audio_lost`, ...)."""

    code = "transcription_failed"

    def __init__(self, message: str, job_code: str = "transcription_failed", retryable: bool = False) -> None:
        super().__init__(message)
        self.job_code = job_code
        self.job_retryable = retryable
