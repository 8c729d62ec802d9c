"""What the tests of the Lua scripts share."""

import pytest
import redis

from tests.script_driver import ScriptDriver


@pytest.fixture
def fleet(store: "redis.Redis") -> ScriptDriver:
    """The scripts on an emptied server."""
    return ScriptDriver(store)
