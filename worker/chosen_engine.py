"""The engine settings that follow from a worker's settings."""

from shared.cpu import encoder_threads_for, has_cores_of_its_own, threads_for, usable_cores, workers_for
from shared.settings import WorkerSettings
from worker.engine_settings import EngineSettings


def chosen_engine(settings: WorkerSettings) -> EngineSettings:
    """The engine settings of a worker.

    0 CPU threads become one for each core of a container's quota. Without a quota they become as many as suit each of the workers
    that this many cores are good for.
    """
    cores = usable_cores()
    threads = settings.whisper_cpu_threads or (cores if has_cores_of_its_own() else threads_for(cores, workers_for(cores)))
    return EngineSettings(
        factory=settings.whisper_engine,
        name=settings.model_name,
        location=settings.model_location(),
        device=settings.whisper_device,
        compute_type=settings.whisper_compute_type,
        cpu_threads=threads,
        num_workers=settings.whisper_num_workers,
        batch_size=settings.whisper_batch_size,
        encoder_window=settings.whisper_encoder_window,
        encoder=settings.whisper_encoder,
        encoder_precision=settings.whisper_encoder_precision,
        encoder_threads=settings.whisper_encoder_threads or encoder_threads_for(cores, threads),
        beam_size=settings.whisper_beam_size,
        language=settings.whisper_language,
        log_level=settings.log_level,
        log_format=settings.log_format,
    )
