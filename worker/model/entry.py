"""Where a model process begins. The supervisor imports this module and must not load the model's libraries with it."""

from multiprocessing.connection import Connection

from worker.engine_settings import EngineSettings
from worker.model.allocator import keep_freed_memory


def run(pipe: Connection, settings: EngineSettings) -> None:
    """Load the model and serve until the pipe closes."""
    keep_freed_memory()
    from worker.model.process import serve

    serve(pipe, settings)
