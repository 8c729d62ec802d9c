"""Decides how many processes of each kind the local stack has, and how many threads each worker gets."""

import ctranslate2

from shared.cpu import threads_for, usable_cores, workers_for


def set_sizes(environment: dict[str, str]) -> tuple[int, int]:
    """The numbers of gateways and workers: from GATEWAYS and WORKERS, else one gateway, and workers by the number of cores.

    The default on a GPU is one worker: a second one would hold another copy of the model in the GPU's memory.

    Sets both variables in `environment`, and WHISPER_CPU_THREADS if it is not set. Raises `ValueError` with a sentence for the
    user.
    """
    gateways = _how_many(environment, "GATEWAYS", 1)
    workers = _how_many(environment, "WORKERS", 1 if _on_gpu(environment) else workers_for(usable_cores()))
    environment.setdefault("WHISPER_CPU_THREADS", str(threads_for(usable_cores(), workers)))
    return gateways, workers


def told(environment: dict[str, str]) -> str:
    """The numbers of workers, threads and cores as text for the user."""
    threads, cores = environment["WHISPER_CPU_THREADS"], usable_cores()
    return f"{environment['WORKERS']} x {threads} threads ({cores} cores)"


def _on_gpu(environment: dict[str, str]) -> bool:
    return environment.get("WHISPER_DEVICE") != "cpu" and ctranslate2.get_cuda_device_count() > 0


def _how_many(environment: dict[str, str], name: str, default: int) -> int:
    given = environment.get(name) or str(default)
    if not given.isdecimal() or int(given) < 1:
        raise ValueError(f"{name}={given}: a whole number of at least 1 is needed.")
    environment[name] = given
    return int(given)
