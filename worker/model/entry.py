"""Where a model process begins. Light to import: the supervisor names this function and must not load the model code."""

from multiprocessing.connection import Connection

from worker.engine_settings import EngineSettings
from worker.model.allocator import keep_freed_memory


def run(pipe: Connection, settings: EngineSettings) -> None:
    """Load the model and serve until the pipe closes."""
    keep_freed_memory()
    from worker.model.process import serve

    serve(pipe, settings)
