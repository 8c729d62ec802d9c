"""`python -m gateway`: reads the settings, logs them, and serves."""

import asyncio
import sys
from socket import socket
from types import FrameType

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette

from gateway.app import create_app
from gateway.protocol import BoundedProtocol, raise_descriptor_limit
from gateway.routes.about import service_version
from shared import logs
from shared.redis_server.kind import unsuitable
from shared.settings import GatewaySettings, complaint

#: How long an idle connection is kept: longer than clients keep a connection that they want to use again.
KEEP_ALIVE_SECONDS = 75
#: How long open requests may still take after SIGTERM. Long-polls are answered at once.
SHUTDOWN_SECONDS = 15
WRONG_SETTINGS = 2


class _Server(uvicorn.Server):
    """Ends long-polls as soon as the process is asked to end: uvicorn would wait for them."""

    def __init__(self, config: uvicorn.Config, app: Starlette) -> None:
        super().__init__(config)
        self._app = app

    async def startup(self, sockets: list[socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of a signal handler
        """At the first signal, end in order, with exit code 0. At the second one, end at once."""
        self.force_exit = self.should_exit
        self.should_exit = True
        services = getattr(self._app.state, "services", None)
        if services is not None:
            self._loop.call_soon_threadsafe(services.waiters.release)


def main() -> int:
    """Serve until asked to end, and return the exit code."""
    try:
        settings = GatewaySettings()
    except ValidationError as error:
        print(f"whisper-fleet gateway: {complaint(error)}", file=sys.stderr)
        return WRONG_SETTINGS
    if reason := unsuitable(settings.redis_url.get_secret_value()):
        print(f"whisper-fleet gateway: {reason}", file=sys.stderr)
        return WRONG_SETTINGS
    logs.configure(settings.log_level, settings.log_format)
    logs.get_logger("gateway").info("gateway_starts", version=service_version(), **settings.for_log())
    raise_descriptor_limit()
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.api_host,
        port=settings.api_port,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        access_log=False,
        log_config=None,
        server_header=False,
        ws="none",
        http=BoundedProtocol,
    )
    server = _Server(config, app)
    server.run()
    return 0 if server.started and not getattr(app.state, "has_failed", False) else 1


if __name__ == "__main__":
    sys.exit(main())
