"""Where a model process begins. Light to import: the supervisor names this function and must not load the model code."""

from multiprocessing.connection import Connection

from worker.allocator import keep_freed_memory
from worker.engine_settings import EngineSettings


def run(pipe: Connection, settings: EngineSettings) -> None:
    """Load the model and serve until the pipe closes."""
    keep_freed_memory()
    from worker.model_process import serve

    serve(pipe, settings)
