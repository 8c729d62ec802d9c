"""How the model is loaded, and how its process logs. Supervisor and model process import it: no model code, no Redis in here."""

from dataclasses import dataclass

from shared.transcripts.transcript import EncoderWindow


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """Picklable, since it is sent to the model process. `beam_size` and `language` are the defaults of jobs that name none."""

    factory: str
    name: str
    location: str
    device: str
    compute_type: str
    cpu_threads: int
    num_workers: int
    batch_size: int
    encoder_window: EncoderWindow
    encoder: str
    encoder_precision: str
    encoder_threads: int
    beam_size: int
    language: str | None
    log_level: str
    log_format: str
