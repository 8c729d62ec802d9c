"""How the model is loaded and its process logs. Not in `worker.model.engine`: the supervisor must never import the model code."""

from dataclasses import dataclass

from shared.cpu import usable_cores
from shared.settings import WorkerSettings


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """Picklable: it travels to the model process. `beam_size` and `language` answer what a job leaves open."""

    factory: str
    name: str
    location: str
    device: str
    compute_type: str
    cpu_threads: int
    num_workers: int
    batch_size: int
    encoder_window: str
    beam_size: int
    language: str | None
    log_level: str
    log_format: str

    @classmethod
    def of(cls, settings: WorkerSettings) -> "EngineSettings":
        """From the environment; 0 threads become one per usable core."""
        return cls(
            factory=settings.whisper_engine,
            name=settings.model_name,
            location=settings.model_location(),
            device=settings.whisper_device,
            compute_type=settings.whisper_compute_type,
            cpu_threads=settings.whisper_cpu_threads or usable_cores(),
            num_workers=settings.whisper_num_workers,
            batch_size=settings.whisper_batch_size,
            encoder_window=settings.whisper_encoder_window,
            beam_size=settings.whisper_beam_size,
            language=settings.whisper_language,
            log_level=settings.log_level,
            log_format=settings.log_format,
        )
