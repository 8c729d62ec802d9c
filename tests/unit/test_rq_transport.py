"""RQ itself must be able to read the records that this project writes for it."""

from redis import Redis
from rq.job import Job as RqJob
from rq.serializers import JSONSerializer
from rq.utils import as_text

from shared.jobs.rq_transport import FUNCTION, hash_fields

ID, LANE = "0199a200-0000-7000-8000-00000000000a", "fleet.demo.interactive"


def stored(job_id: str, lane: str, description: str) -> dict[str, bytes]:
    """The hash as Redis returns it."""
    flat = [part if isinstance(part, bytes) else part.encode() for part in hash_fields(job_id, lane, description)]
    return {as_text(field): value for field, value in zip(flat[::2], flat[1::2], strict=True)}


def read_by_rq(fields: dict[str, bytes]) -> RqJob:
    job = RqJob(ID, connection=Redis(), serializer=JSONSerializer)
    job.restore(fields)
    return job


def test_rq_reads_the_job_as_if_it_had_written_it() -> None:
    job = read_by_rq(stored(ID, LANE, "3.0 s wav"))
    assert (job.func_name, job.args, job.kwargs) == (FUNCTION, [ID], {})
    assert (job.origin, job.description, job.get_status(refresh=False)) == (LANE, "3.0 s wav", "queued")


def test_jobs_share_nothing_but_the_form() -> None:
    other = ID[:-1] + "b"
    first, second = stored(ID, LANE, "one"), stored(other, "fleet.demo.batch", "two")
    assert first.keys() == second.keys()
    assert read_by_rq(second).args == [other] and read_by_rq(first).args == [ID]


def test_rq_reads_absent_fields_as_those_that_it_writes_empty() -> None:
    written = RqJob.create(
        FUNCTION, args=(ID,), id=ID, origin=LANE, description="x", timeout=-1, connection=Redis(), serializer=JSONSerializer
    )
    as_rq_writes = {as_text(field): _bytes(value) for field, value in written.to_dict().items()}
    as_we_write = stored(ID, LANE, "x")
    theirs, ours = read_by_rq(as_rq_writes).to_dict(), read_by_rq(as_we_write).to_dict()
    told = {"data", "status", "created_at", "enqueued_at", "timeout"}
    assert {field: ours.get(field) for field in theirs if field not in told} == {
        field: value for field, value in theirs.items() if field not in told
    }


def test_no_value_is_too_long_for_a_small_hash() -> None:
    assert max(map(len, stored(ID, LANE, "3600.0 s webm, language detected, sha256 0123abcd").values())) <= 64


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(getattr(value, "value", value)).encode()
