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
    assert (job.origin, job.description, job.timeout) == (LANE, "3.0 s wav", -1)


def test_jobs_share_nothing_but_the_form() -> None:
    other = ID[:-1] + "b"
    first, second = stored(ID, LANE, "one"), stored(other, "fleet.demo.batch", "two")
    assert first.keys() == second.keys()
    assert read_by_rq(second).args == [other] and read_by_rq(first).args == [ID]


def test_the_fields_are_those_that_rq_writes() -> None:
    written = RqJob.create(
        FUNCTION, args=(ID,), id=ID, origin=LANE, description="x", timeout=-1, connection=Redis(), serializer=JSONSerializer
    )
    expected = {field: value for field, value in written.to_dict().items() if field not in ("data", "created_at")}
    ours = {field: as_text(value) for field, value in stored(ID, LANE, "x").items() if field in expected}
    assert ours == {field: str(getattr(value, "value", value)) for field, value in expected.items()}
