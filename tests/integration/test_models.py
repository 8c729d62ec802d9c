"""A fleet of several models: a job goes to workers with the model that it names, or else with the fleet's own model."""

from pathlib import Path
from typing import Any

import httpx

from tests.faults.zoo import Animal, clip
from tests.processes import running_stack, wait_until

ZOO: dict[str, Any] = {"WHISPER_ENGINE": "tests.faults.zoo:ZooEngine", "WHISPER_MODEL": "own"}


def submit(client: httpx.Client, number: int, query: str) -> httpx.Response:
    return client.post(f"/v1/jobs{query}", content=clip(Animal.GOOD, number))


def models_held(client: httpx.Client) -> set[str]:
    return {card["model"] for card in client.get("/stats").json()["workers"]}


def test_a_job_goes_to_the_model_it_names_and_else_to_the_fleets_own(tmp_path: Path) -> None:
    with running_stack(tmp_path / "fleet", **ZOO) as stack, stack.client() as client:
        stack.start_worker(WHISPER_MODEL="another")
        stack.wait_ready(workers=2)
        wait_until(lambda: submit(client, 0, "?model=another").status_code != 422, "the gateway knows of it", 5)
        answers = [submit(client, n, f"?wait=30{query}") for n, query in enumerate(["", "&model=another", "&model=own"], start=1)]
        assert [answer.json()["result"]["model"] for answer in answers] == ["own", "another", "own"]

        stack.workers[0].stop()
        wait_until(lambda: models_held(client) == {"another"}, "one model is left", 10)
        waiting = [submit(client, n, query).raise_for_status().json() for n, query in enumerate(["", "?model=own"], start=10)]
        assert [job["model"] for job in waiting] == ["own", "own"]
        refused = submit(client, 20, "?model=nobodys")
        assert (refused.status_code, refused.json()["code"]) == (422, "unknown_model") and "another" in refused.json()["detail"]

        stack.start_worker()
        ended = [client.get(f"/v1/jobs/{job['job_id']}?wait=30").json() for job in waiting]
        assert [job["result"]["model"] for job in ended] == ["own", "own"]


def test_a_gateway_that_names_a_model_of_nobodys_takes_what_there_is(tmp_path: Path) -> None:
    with running_stack(tmp_path / "fleet", **ZOO) as stack:
        stack.start_gateway(WHISPER_MODEL="never-held")
        with stack.client(gateway=1) as client:
            assert submit(client, 1, "?wait=30").json()["result"]["model"] == "own"
            assert submit(client, 2, "?model=never-held").status_code == 422
