"""The Python client of a transcription fleet."""

from client.errors import ClientError
from client.fleet import FleetClient
from client.records import TERMINAL_STATES, JobRecord

__all__ = ["TERMINAL_STATES", "ClientError", "FleetClient", "JobRecord"]
