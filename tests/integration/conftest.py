"""Fixtures shared by the tests of the Lua scripts."""

import pytest
import redis

from tests.script_driver import ScriptDriver


@pytest.fixture
def fleet(store: "redis.Redis") -> ScriptDriver:
    """The scripts, on a server whose data were erased."""
    return ScriptDriver(store)
