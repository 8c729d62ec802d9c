"""Checks the kind of Redis: a fleet needs a single server, with or without replicas, since its scripts use keys of many jobs."""

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.redis_server.connection import connect

LOOK_SECONDS = 2.0
NO_CLUSTER = "REDIS_URL: this is a Redis Cluster, which cannot hold a fleet; name a single server, or one with replicas"


def unsuitable(url: str) -> str | None:
    """Why this Redis cannot hold a fleet, as a sentence for the operator. None if it can, or if it does not answer."""
    client = connect(url, socket_timeout=LOOK_SECONDS, socket_connect_timeout=LOOK_SECONDS, retry=Retry(NoBackoff(), 0))
    try:
        about: Any = client.info("cluster")
    except (redis.RedisError, OSError):
        return None
    finally:
        client.close()
    return NO_CLUSTER if about.get("cluster_enabled") else None
