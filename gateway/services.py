"""The objects that the routes work with. They are built once per process, when the application starts."""

from dataclasses import dataclass

from starlette.requests import Request

from gateway.fleet.fleet import Fleet
from gateway.fleet.store import JobStore
from gateway.following.waiting import LongPoll, Waiters
from gateway.submitting.submission import Submitter
from shared.settings import GatewaySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The parts of one gateway."""

    settings: GatewaySettings
    store: JobStore
    fleet: Fleet
    submitter: Submitter
    waiters: Waiters
    long_poll: LongPoll


def services_of(request: Request) -> Services:
    """The services of the application that handles this request."""
    services = request.app.state.services
    assert isinstance(services, Services)
    return services
