"""The job record that the fleet returns. Unknown fields and states are accepted, since a newer server may add some."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TERMINAL_STATES = frozenset({"completed", "failed", "canceled", "expired"})


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """A job at the time of one answer. `body` is the whole answer, with times and progress as the API documents them."""

    job_id: str
    status: str
    body: Mapping[str, Any]

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> "JobRecord":
        """Read a JSON answer. Raises KeyError when it does not describe a job."""
        return cls(job_id=str(body["job_id"]), status=str(body["status"]), body=body)

    @property
    def finished(self) -> bool:
        """Whether the job has ended, successfully or not."""
        return self.status in TERMINAL_STATES
