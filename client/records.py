"""What the fleet says about a job, read leniently: a newer server may say more."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TERMINAL_STATES = frozenset({"completed", "failed", "canceled", "expired"})


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """A job as of one answer. `body` is that answer whole; times and progress are in it as the API documents them."""

    job_id: str
    status: str
    body: Mapping[str, Any]

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> "JobRecord":
        """From a JSON answer; raises KeyError when it is not about a job."""
        return cls(job_id=str(body["job_id"]), status=str(body["status"]), body=body)

    @property
    def finished(self) -> bool:
        """Whether it has ended, well or not."""
        return self.status in TERMINAL_STATES
