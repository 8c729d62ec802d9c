"""All settings, each declared once: name, type, default, one line of meaning. Read from the environment, checked at start."""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.audio.request import READING_REVISION
from shared.redis_server.address import parsed
from shared.transcripts.languages import language_code
from shared.transcripts.transcript import EncoderWindow

LOOPBACK = ("127.0.0.1", "::1", "localhost")
#: Where the gateway's routes are: a prefix that a proxy adds must not hide one.
OWN_PATHS = ("/v1/jobs", "/transcribe", "/transcribe-async", "/stats", "/metrics", "/health", "/ready", "/cache")
DEMO_MODEL = Path(__file__).resolve().parent.parent / "models" / "demo"


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


CommaSeparated = Annotated[list[str], NoDecode, BeforeValidator(_split)]


def complaint(error: ValidationError) -> str:
    """One line for the operator that names the variables and never their values."""
    problems = error.errors(include_input=False, include_url=False, include_context=False)
    lines = (f"{'_'.join(str(part) for part in p['loc']).upper()}: {p['msg']}" for p in problems)
    return "; ".join(line.removeprefix(": ").replace("Value error, ", "") for line in lines)


class FleetSettings(BaseSettings):
    """Settings that gateways and workers must agree on."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)

    redis_url: Annotated[
        SecretStr, Field(description="Where the queue lives; redis+sentinel:// for a server that Sentinels know.")
    ] = SecretStr("redis://127.0.0.1:6379/0")
    fleet_prefix: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9_-]+$", description="Prefix of all keys; two fleets with two prefixes can share a server."),
    ] = "fleet"
    whisper_model: Annotated[
        str, Field(min_length=1, description="tiny, base, small, medium, large-v3, a Hugging Face id, a path, or demo.")
    ] = "base"
    enable_cache: Annotated[bool, Field(description="Answer equal audio and options from earlier transcripts.")] = True
    cache_ttl_seconds: Annotated[int, Field(ge=1, description="How long a transcript is kept for equal submissions.")] = 86_400
    cache_max_entries: Annotated[
        int, Field(ge=1, description="How many cached transcripts a tenant may have; the oldest go first.")
    ] = 10_000
    result_ttl_seconds: Annotated[int, Field(ge=1, description="How long a finished job can be fetched.")] = 86_400
    failed_audio_ttl_seconds: Annotated[int, Field(ge=0, description="How long a failed job's audio is kept for a retry.")] = (
        3_600
    )
    gone_ttl_seconds: Annotated[int, Field(ge=1, description="How long an expired or erased id answers 410 instead of 404.")] = (
        172_800
    )
    max_audio_length_seconds: Annotated[float, Field(gt=0, description="Longer audio is refused.")] = 14_400.0
    min_audio_length_seconds: Annotated[float, Field(ge=0, description="Shorter audio is refused.")] = 0.1
    split_above_seconds: Annotated[
        float,
        Field(ge=0, description="Longer audio is cut at silences into pieces that any worker can take; 0: never."),
    ] = 60.0
    route_short_to_cpu_seconds: Annotated[
        float,
        Field(ge=0, description="With CPU and GPU workers: audio up to this goes to CPUs first, longer to GPUs; 0: any to any."),
    ] = 0.0
    route_spill_seconds: Annotated[
        float, Field(gt=0, description="Audio that has waited so long for its kind of worker is taken by the other kind, too.")
    ] = 10.0
    start_deadline_seconds: Annotated[
        int, Field(ge=1, description="A job that no worker took by then expires (a job may ask for less).")
    ] = 86_400
    lease_seconds: Annotated[float, Field(ge=1, description="A worker that is silent for so long loses its jobs to others.")] = (
        10.0
    )
    max_attempts: Annotated[int, Field(ge=1, description="A job that took down so many workers is given up as poison_job.")] = 3
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], Field(description="How much is logged.")] = "INFO"
    log_format: Annotated[Literal["console", "json"], Field(description="For people, or for a log store.")] = "console"

    @field_validator("redis_url")
    @classmethod
    def _an_address(cls, url: SecretStr) -> SecretStr:
        parsed(url.get_secret_value())
        return url

    @cached_property
    def model_name(self) -> str:
        """The model's public name: the last part of a path, else the name as given. Looks at the file system, once."""
        return Path(self.whisper_model).name if Path(self.whisper_model).is_dir() else self.whisper_model

    @property
    def long_above_seconds(self) -> float:
        """Longer audio waits in the long lane; 0: no audio does."""
        return self.route_short_to_cpu_seconds or self.split_above_seconds

    def terminal_ttls(self) -> dict[str, int]:
        """Arguments of every script that may end a job."""
        return {
            "result_ttl": self.result_ttl_seconds,
            "failed_audio_ttl": self.failed_audio_ttl_seconds,
            "gone_ttl": self.gone_ttl_seconds,
        }

    def audio_ttl_seconds(self) -> int:
        """The TTL of stored audio: the time to wait, to decode at a real-time factor of 10, and to be kept after a failure."""
        return self.start_deadline_seconds + int(10 * self.max_audio_length_seconds) + self.failed_audio_ttl_seconds

    def for_log(self) -> dict[str, Any]:
        """Every setting as text. The type of a secret masks its value."""
        return {name: str(value) for name, value in self.model_dump().items()}


class GatewaySettings(FleetSettings):
    """Settings that only gateways read."""

    api_host: Annotated[str, Field(description="Address to listen on. Beyond loopback a key is required.")] = "127.0.0.1"
    api_published_host: Annotated[
        str | None,
        Field(description="Address a container's port is published on; judged instead of API_HOST, which is 0.0.0.0 in there."),
    ] = None
    api_port: Annotated[int, Field(ge=0, le=65_535, description="Port to listen on.")] = 8000
    api_key: Annotated[SecretStr | None, Field(description="Callers send it as X-API-Key or Authorization: Bearer.")] = None
    allow_anonymous: Annotated[bool, Field(description="Serve beyond loopback without a key.")] = False
    cors_origins: Annotated[CommaSeparated, Field(description="Browser origins that may call, comma-separated; * for any.")] = []
    allowed_hosts: Annotated[
        CommaSeparated,
        Field(description="Names to answer to beside loopback's, comma-separated; unset: any with a key, else none; * for any."),
    ] = []
    root_path: Annotated[
        str, Field(pattern=r"^((/[A-Za-z0-9._~-]+)+)?$", description="Path prefix that a proxy adds, such as /whisper.")
    ] = ""
    max_file_size_mb: Annotated[float, Field(gt=0, description="Largest upload as multipart or raw body.")] = 100.0
    max_base64_size_mb: Annotated[float, Field(gt=0, description="Largest decoded audio in a JSON body.")] = 10.0
    max_queue_bytes: Annotated[int, Field(ge=1, description="Audio bytes that may wait before submits are answered 429.")] = (
        1_000_000_000
    )
    max_queue_audio_seconds: Annotated[
        int, Field(ge=1, description="Seconds of audio that may wait; beyond it submits are answered 429.")
    ] = 86_400
    max_wait_seconds: Annotated[
        float, Field(gt=0, le=600, description="Longest that a long-poll is held; proxies mostly give up after 60.")
    ] = 50.0
    max_sync_seconds: Annotated[
        float, Field(gt=0, le=3600, description="Longest that POST /transcribe waits before it answers 202 and the job.")
    ] = 600.0
    redis_wait_replicas: Annotated[
        int,
        Field(
            ge=0,
            description="How many replicas of Redis must have a change before it is acknowledged; so it outlives a failover.",
        ),
    ] = 0
    redis_wait_seconds: Annotated[
        float, Field(gt=0, le=10, description="How long replicas may take for that before the answer is 503.")
    ] = 1.0
    upload_timeout_seconds: Annotated[float, Field(gt=0, description="An upload that stalls for so long is dropped.")] = 20.0

    @model_validator(mode="after")
    def _no_open_door(self) -> "GatewaySettings":
        host = self.api_published_host or self.api_host
        local = host in LOOPBACK
        if not local and self.api_key is None and not self.allow_anonymous:
            raise ValueError(
                f"{host} is reachable from other machines, yet no API_KEY is set: "
                "set API_KEY, or ALLOW_ANONYMOUS=true if everybody who can reach it may use it"
            )
        return self

    @field_validator("root_path")
    @classmethod
    def _no_path_of_our_own(cls, root: str) -> str:
        for path in OWN_PATHS if root else ():
            if path.startswith(f"{root}/") or f"{root}/".startswith(f"{path}/"):
                raise ValueError(f"it would hide {path}, which is the gateway's own; choose another prefix, such as /whisper")
        return root


#: Names of engines in the settings of earlier releases, and their names now.
MOVED_ENGINES = {"worker.engine:Engine": "worker.model.engine:Engine"}


class WorkerSettings(FleetSettings):
    """Settings that only workers read."""

    whisper_engine: Annotated[
        str,
        BeforeValidator(lambda name: MOVED_ENGINES.get(name, name)),
        Field(
            pattern=r"^[A-Za-z0-9_.]+:[A-Za-z0-9_]+$",
            description="module:class that loads and decodes; for tests and other back ends.",
        ),
    ] = "worker.model.engine:Engine"
    whisper_device: Annotated[Literal["auto", "cpu", "cuda"], Field(description="Where the model runs.")] = "auto"
    whisper_compute_type: Annotated[str, Field(description="CTranslate2 compute type: default, int8, float16, ...")] = "default"
    whisper_beam_size: Annotated[int, Field(ge=1, le=20, description="Beam size of jobs that name none.")] = 5
    whisper_language: Annotated[str | None, Field(description="Language of jobs that name none; unset: detected.")] = None
    whisper_cpu_threads: Annotated[
        int,
        Field(
            ge=0,
            description="Threads of one decode. 0: all cores of the container's quota; without a quota the machine's cores, "
            "divided by the number of workers that suits it (one for every four cores, at least two).",
        ),
    ] = 0
    whisper_batch_size: Annotated[
        int,
        Field(
            ge=1,
            le=64,
            description="Jobs that one worker decodes at a time, sharing the calls to its model; at most 4 short ones on a CPU, "
            "unless the window is adaptive.",
        ),
    ] = 8
    whisper_encoder_window: Annotated[
        EncoderWindow,
        Field(
            description="full: all of a window's padding. trimmed: all of it is encoded, but most of short audio's padding is "
            "kept from the decoder. adaptive: most of it is not even encoded. Measure with calibrate.",
        ),
    ] = "full"
    whisper_encoder: Annotated[
        Literal["auto", "openvino", "ctranslate2"],
        Field(description="What encodes on a CPU; auto: the faster one, measured when a worker starts."),
    ] = "auto"
    whisper_encoder_precision: Annotated[
        Literal["auto", "bf16", "f32", "int8"],
        Field(
            description="What OpenVINO's encoder calculates in. auto: bf16 where the processor has it, else f32; "
            "or int8, if the model does so and that is clearly faster."
        ),
    ] = "auto"
    whisper_encoder_threads: Annotated[
        int,
        Field(ge=0, description="Threads of OpenVINO's encoder. 0: twice WHISPER_CPU_THREADS, as far as there are cores."),
    ] = 0
    whisper_num_workers: Annotated[
        int,
        Field(
            ge=0,
            description="CTranslate2's inter_threads: calls that the model runs at the same time; 0: 1 on a GPU, 2 on a CPU, "
            "where short audio then need not wait for the call of a long file.",
        ),
    ] = 0
    model_load_timeout: Annotated[float, Field(gt=0, description="Seconds in which the model must be loaded and warm.")] = 600.0
    no_progress_timeout_seconds: Annotated[
        float,
        Field(gt=0, description="A decode that has not moved for so long, plus a tenth of the audio, is killed and retried."),
    ] = 120.0
    canary_seconds: Annotated[
        float,
        Field(ge=0, description="An idle worker decodes a second of noise this often, to prove that it still can; 0: never."),
    ] = 30.0
    recycle_after_jobs: Annotated[int, Field(ge=0, description="The model process is replaced after so many jobs; 0: never.")] = (
        1000
    )
    recycle_above_rss_mb: Annotated[
        int, Field(ge=0, description="Recycle the model process when it holds more memory than this, in MB; 0: never for that.")
    ] = 0
    drain_seconds: Annotated[
        float, Field(ge=0, description="After SIGTERM, how long a decode may still take before it is handed back.")
    ] = 25.0
    cancel_grace_seconds: Annotated[
        float,
        Field(
            ge=0,
            description="How long a cancelled decode that is alone may at least take to stop before its process is killed: "
            "it has as long as that process took to start, if that is longer, but no longer than NO_PROGRESS_TIMEOUT_SECONDS.",
        ),
    ] = 0.4

    @field_validator("whisper_language")
    @classmethod
    def _a_language(cls, code: str | None) -> str | None:
        known = language_code(code) if code is not None else None
        if code is not None and known is None:
            raise ValueError("must be a language that Whisper knows, such as en, or unset to detect the language")
        return known

    def model_location(self) -> str:
        """The path or the name of the model that faster-whisper loads."""
        return str(DEMO_MODEL) if self.whisper_model == "demo" else self.whisper_model

    def cache_revision(self, revision: str, encoder: str, encoder_precision: str) -> str:
        """All that decides a transcript: the revisions of model and audio reading, the worker's defaults, the encoder in use."""
        defaults = self.whisper_beam_size, self.whisper_language or "auto", self.whisper_encoder_window
        parts = (revision, READING_REVISION, self.whisper_compute_type, *defaults, encoder, encoder_precision)
        return "-".join(map(str, parts))
