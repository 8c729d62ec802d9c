"""How the model is loaded, and how its process logs. Both processes know it, so it imports neither model code nor Redis."""

from dataclasses import dataclass


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
