"""Random interleavings of everything that happens to jobs, by several actors, against a model and what must always hold.

The model (`tests/properties`) is a fleet in plain Python. After each step all that is in Redis must be what it expects.
"""

import os
import random

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.processes import RedisServer
from tests.properties.last_act import JobsOfAFleet

#: `PROPERTY_EXAMPLES=5000` for a longer run, from another seed each time. `PROPERTY_SEED` repeats one.
EXAMPLES = os.environ.get("PROPERTY_EXAMPLES")
#: The usual run is the same each time, so that it fails for nobody else's change.
USUAL_EXAMPLES, USUAL_SEED = 150, 8
STEPS = 40


def test_jobs_survive_any_interleaving(server: RedisServer) -> None:
    number = int(os.environ.get("PROPERTY_SEED", random.randrange(10**9) if EXAMPLES else USUAL_SEED))
    print(f"PROPERTY_SEED={number} repeats this run.")
    JobsOfAFleet.server = server
    profile = settings(
        max_examples=int(EXAMPLES or USUAL_EXAMPLES),
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        # To shorten a failing play takes minutes, for which CI has no time.
        phases=[Phase.generate, Phase.shrink] if EXAMPLES else [Phase.generate],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    run_state_machine_as_test(seed(number)(JobsOfAFleet), settings=profile)
