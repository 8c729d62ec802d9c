"""The model's callers and sweeps: submit, cancel, retry, and what gateways and workers mend."""

from collections.abc import Sequence

from shared.jobs.job import JobState
from shared.jobs.keys import piece_id
from tests.properties.endings import Endings
from tests.properties.records import MAX_ATTEMPTS, MOST_AUDIO_MS, MOST_BYTES, MOST_FOLLOWERS, Record, Upload, lane_name


class Callers(Endings):
    """What callers ask for, and what happens by itself."""

    def submit(self, job_id: str, upload: Upload) -> str:
        """The verdict on a new id."""
        if job_id in self.records:
            return "replay"
        job = Record(
            id=job_id,
            model=upload.model,
            lane=upload.lane,
            digest=upload.digest,
            seconds=upload.clip.seconds,
            size=upload.clip.size,
            interactive=not upload.is_batch,
            has_end=upload.has_end,
        )
        if upload.use_cache and job.digest in self.cache:
            self._take_up(job)
            return self._answer_from_cache(job)
        leader = self.flights.get(job.digest)
        if leader and len(self.followers.get(job.digest, [])) >= MOST_FOLLOWERS:
            self.totals["refused_full"] += 1
            return "full"
        return self._follow(job, leader) if leader else self._queue(job)

    def _take_up(self, job: Record) -> None:
        self.listed.add(job.id)
        self.records[job.id] = job
        self.in_rq.add(job.id)
        self.totals["submitted"] += 1

    def _answer_from_cache(self, job: Record) -> str:
        self.totals["cache_hits"] += 1
        self.transcripts[job.id] = self.cache[job.digest]
        self.settle(job, JobState.COMPLETED, is_told=False)
        return "cached"

    def _follow(self, job: Record, leader: str) -> str:
        self._take_up(job)
        self.totals["shared_flights"] += 1
        self.watched[job.id] = False
        ahead = self.records[leader]
        if job.interactive and ahead.lane != job.lane:
            self._hurry(ahead, job.lane)
        job.leader = leader
        self.followers.setdefault(job.digest, []).append(job.id)
        return "following"

    def _hurry(self, ahead: Record, lane: str) -> None:
        """Somebody waits for the leader now."""
        if ahead.state is JobState.QUEUED:
            self.leave(ahead)
            ahead.lane = lane
            self.enter(ahead, at_front=False)
        else:
            ahead.lane, ahead.pieces_lane = lane, lane_name(ahead.model, "long")
            self._hurry_pieces(ahead)

    def _hurry_pieces(self, file: Record) -> None:
        for number in range(1, (file.pieces or 0) + 1):
            piece = self.records.get(piece_id(file.id, number))
            if piece and piece.state is JobState.QUEUED and file.pieces_lane and piece.lane != file.pieces_lane:
                self.leave(piece)
                piece.lane = file.pieces_lane
                self.enter(piece, at_front=False)

    def _queue(self, job: Record) -> str:
        _, size, audio_ms = self.load()
        if size + job.size > MOST_BYTES or audio_ms + job.audio_ms > MOST_AUDIO_MS:
            self.totals["refused_full"] += 1
            return "full"
        self._take_up(job)
        self.totals["cache_misses"] += 1
        self.audio.add(job.id)
        self.flights[job.digest] = job.id
        self.enter(job, at_front=False)
        return "queued"

    def cancel(self, job_id: str) -> str:
        if job_id not in self.records:
            return "gone" if job_id in self.gone | self.listed else "unknown"
        job = self.records[job_id]
        if job.is_over:
            self.forget(job)
            self.gone.add(job_id)
            return "erased"
        self.withdraw(job, JobState.CANCELED)
        return "canceled"

    def retry(self, job_id: str) -> str:
        if job_id not in self.records:
            return "gone" if job_id in self.gone | self.listed else "unknown"
        job = self.records[job_id]
        if not job.is_dead:
            return "not_retryable"
        if not self.has_audio_again(job):
            return "no_audio"
        self.revive(job)
        self.enter(job, at_front=False)
        return "queued"

    def recover(self) -> list[list[str]]:
        """Who is put back, and who has failed."""
        back, failed = [], []
        for job_id in sorted(i for i, has_lapsed in self.leases.items() if has_lapsed):
            job = self.records.get(job_id)
            if job is None or job.state is not JobState.RUNNING:
                self.leases.pop(job_id, None)
            elif job.attempt >= MAX_ATTEMPTS:
                self.give_up(job)
                failed.append(job_id)
            else:
                job.is_suspect = job.is_suspect or job.attempt > 1
                self.end_execution(job)
                self.enter(job, at_front=True)
                self.totals["recovered"] += 1
                back.append(job_id)
        return [back, failed]

    def expire(self) -> list[str]:
        """Who has expired."""
        expired = []
        for job_id in sorted(i for i, overdue in self.watched.items() if overdue):
            job = self.records.get(job_id)
            if job is None or job.is_over:
                self.watched.pop(job_id, None)
            elif job.leader and not (job.has_end and job.end_passed) and self.records[job.leader].state is JobState.RUNNING:
                self.watch_end_only(job)
            else:
                expired.append(self.file_of(job).id)
                self.withdraw(job, JobState.EXPIRED)
        return expired

    def reconcile(self, lanes: Sequence[str]) -> list[list[str]]:
        """Who is put back into its list, who is cancelled, which files are cut anew, who lives again. `lanes`: in their order."""
        back, canceled, cut_anew, revived = list[str](), list[str](), list[str](), list[str]()
        for lane in lanes:
            revived += self._requeued(lane)
            self._reconcile_lane(lane, back, canceled)
        for job_id in sorted(self.split):
            file = self.records[job_id]
            if sum(one in self.records for one in file.piece_ids()) < (file.pieces_left or 0):
                self.drop_pieces(file)
                self.enter(file, at_front=True)
                cut_anew.append(job_id)
            elif file.pieces_lane:
                self._hurry_pieces(file)
        if not any(self.order.values()):
            self.drift = (0, 0, 0)
        return [back, canceled, cut_anew, revived]

    def _requeued(self, lane: str) -> list[str]:
        """Dead letters that an operator has put into the list: those with audio live again, the others leave it."""
        revived, order = list[str](), self.order.get(lane, [])
        for job_id in reversed(list(self.queues.get(lane, []))):
            job = self.records.get(job_id)
            if job_id in order or job is None or not job.is_dead:
                continue
            self.queues[lane] = [one for one in self.queues[lane] if one != job_id]
            if self.has_audio_again(job):
                self.revive(job)
                self.enter(job, at_front=False)
                revived.append(job_id)
        return revived

    def _reconcile_lane(self, lane: str, back: list[str], canceled: list[str]) -> None:
        order, queue = self.order.get(lane, []), self.queues.setdefault(lane, [])
        stands, behind = set(queue), None
        for job_id in reversed(list(order)):
            if job_id in stands:
                behind = job_id
            elif job_id in order:
                job = self.records.get(job_id)
                if job is None:
                    order.remove(job_id)
                elif job_id not in self.in_rq:
                    canceled.append(self.file_of(job).id)
                    self.withdraw(job, JobState.CANCELED)
                else:
                    queue.insert(queue.index(behind) if behind in queue else len(queue), job_id)
                    back.append(job_id)
                    behind = job_id
