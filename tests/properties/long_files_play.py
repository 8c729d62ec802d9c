"""Rules: how workers cut long files."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from shared.jobs.keys import piece_id
from tests.properties.callers_play import PICK, SELDOM
from tests.properties.records import lane_name
from tests.properties.stage import WORKERS, Hold
from tests.properties.workers_play import Deed, WorkersPlay, answer_of


class LongFilesPlay(WorkersPlay):
    """A file is cut at one set of places or another; its pieces are put one by one, and enter the queue together."""

    def _files(self, *, stale: bool) -> list[Hold]:
        holds = self.holds if stale else self.current()
        return [h for h in holds if h.id in self.clips and self.clips[h.id].cuts and not self._is_done(h)]

    def _file(self, pick: int, *, stale: bool) -> Hold | None:
        files = self._files(stale=stale)
        return files[pick % len(files)] if files else None

    def _is_done(self, hold: Hold) -> bool:
        """All its pieces are decoded, and it is to be put together."""
        job = self.fleet.records.get(hold.id)
        return job is not None and job.pieces is not None

    def do(self, hold: Hold, deed: Deed) -> None:
        """Cut what can be cut; other jobs are finished."""
        if deed not in (Deed.CUT, Deed.CUT_ELSEWHERE):
            super().do(hold, deed)
        elif hold in self._files(stale=False):
            self._cut(hold, self.clips[hold.id].cuts[deed is Deed.CUT_ELSEWHERE])
        else:
            self.finish_job(hold)

    @precondition(lambda self: self._file(0, stale=False))
    @rule(pick=PICK, way=st.integers(0, 1), twice=SELDOM, is_lost=SELDOM, is_partial=SELDOM)
    def cut(self, pick: int, way: int, twice: bool, is_lost: bool, is_partial: bool) -> None:
        """A worker puts all pieces, or misses one, and splits."""
        if not (hold := self._file(pick, stale=False)):
            return
        cut = self.clips[hold.id].cuts[way]
        self._cut(hold, cut, misses=int(is_partial), twice=twice, is_lost=is_lost)

    def _cut(self, hold: Hold, cut: tuple[str, ...], *, misses: int = 0, twice: bool = False, is_lost: bool = False) -> None:
        for number in range(1, len(cut) + 1 - misses):
            self._put(hold, number)
        self._split(hold, cut, twice=twice, is_lost=is_lost)

    @precondition(lambda self: self._file(0, stale=True))
    @rule(pick=PICK, way=st.integers(0, 1), stale=SELDOM)
    def split_late(self, pick: int, way: int, stale: bool) -> None:
        """A split by itself: sent again after other things have happened, or of a worker that holds the file no longer."""
        if hold := self._file(pick, stale=stale):
            self._split(hold, self.clips[hold.id].cuts[way], twice=False, is_lost=False)

    def _split(self, hold: Hold, cut: tuple[str, ...], *, twice: bool, is_lost: bool) -> None:
        job = self.fleet.records.get(hold.id)
        lane = lane_name(job.model, "batch" if job.lane.endswith("batch") else "long") if job else "nowhere"
        verdict, token = self.write(
            hold,
            "split",
            lambda: self.actors.split_as(hold.id, hold.token, hold.worker, hold.execution, cut, lane),
            lambda: answer_of(self.fleet.split_file(hold.id, hold.token, hold.worker, hold.execution, cut, lane)),
            twice=twice,
        )
        if verdict == "missing":
            hold.answers.pop("split", None)
            self.fail_job(hold, retryable=True, code="pieces_lost")
        self._take_over(hold, verdict, token, is_lost=is_lost)

    @precondition(lambda self: self._file(0, stale=True))
    @rule(pick=PICK, number=st.integers(0, 3), stale=SELDOM, twice=SELDOM)
    def put_piece(self, pick: int, number: int, stale: bool, twice: bool) -> None:
        """One piece is put, and no more; number 0 drops what was put."""
        if hold := self._file(pick, stale=stale):
            for _ in range(1 + twice):
                self._put(hold, number)

    def _put(self, hold: Hold, number: int) -> None:
        self.write(
            hold,
            f"put {number}",
            lambda: (
                self.actors.put_piece(hold.id, str(hold.token), number)
                if number
                else self.actors.drop_put_pieces(hold.id, hold.token)
            ),
            lambda: self.fleet.put_piece(hold.id, hold.token, number),
        )

    @precondition(lambda self: self.fleet.split)
    @rule(elsewhere=st.booleans())
    def retry_in_the_middle(self, elsewhere: bool) -> None:
        """A piece is done and the next one fails; the file is retried and cut again: what is done counts where it fits."""
        for worker in WORKERS:
            self.claim(worker=worker, room=4, is_lost=False)
        for number, hold in enumerate(h for h in self.current() if "_p" in h.id):
            if self.is_current(hold) and number % 2:
                self.fail_job(hold, retryable=False, code="transcription_failed")
                self._retry(hold.id.partition("_p")[0])
            elif self.is_current(hold):
                self.finish_job(hold)
        self.busy_day(shifts=[(worker, 4, [Deed.CUT_ELSEWHERE if elsewhere else Deed.CUT] * 4) for worker in WORKERS])

    @precondition(lambda self: self.fleet.split)
    @rule(pick=PICK, twice=st.booleans(), dies=st.booleans())
    def finish_a_file(self, pick: int, twice: bool, dies: bool) -> None:
        """Workers finish all pieces of a file; the last one has the file, or dies before it hears of that."""
        file = sorted(self.fleet.split)[pick % len(self.fleet.split)]
        for worker in WORKERS:
            self.claim(worker=worker, room=4, is_lost=False)
        for hold in self.current():
            if hold.id.startswith(piece_id(file, 0)[:-1]) and self.is_current(hold):
                self.finish_job(hold, twice=twice, is_lost=dies)
        if dies:
            self.die(worker=self.fleet.records[file].worker, sweeps=1)
