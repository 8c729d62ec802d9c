"""The baseline of the submit benchmark, a gateway as it is usually written: FastAPI, RQ, base64 in pickled job arguments.

`python -m tests.benchmarks.naive_gateway PORT REDIS_URL`. Clients poll `GET /jobs/{id}` every half second. No worker is started:
only submits are measured.
"""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from redis import Redis
from rq import Queue
from rq.job import Job


class Submission(BaseModel):
    """A JSON body with the audio as base64."""

    audio: str
    language: str = "en"


def create_app(redis_url: str) -> FastAPI:
    """The app, with two routes."""
    app, redis = FastAPI(), Redis.from_url(redis_url)
    queue = Queue("naive", connection=redis)

    @app.post("/jobs")
    def submit(submission: Submission) -> dict[str, str]:
        return {"job_id": queue.enqueue("worker.transcribe", submission.audio, submission.language).id}

    @app.get("/jobs/{job_id}")
    def show(job_id: str) -> dict[str, object]:
        job = Job.fetch(job_id, connection=redis)
        return {"status": str(job.get_status()), "result": job.return_value()}

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(sys.argv[2]), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
