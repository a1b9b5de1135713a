"""Who does which job: jobs are pulled as workers become free, and given again when a worker dies.

The same for processes on one machine and for actors on a cluster; they only differ in how a worker is started,
spoken to and ended, which is what a :class:`Crew` does.
"""

from collections import Counter, deque
from collections.abc import Generator, Hashable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from msma.errors import ModelError
from msma.extraction.process_worker import unpack_error

if TYPE_CHECKING:
    from msma.extraction.jobs import Job, Outcome

#: Workers that may die on one job, or in a row while they start, before it is given up.
DEATHS = 3
#: Jobs a worker that may be pulled after the oldest that is not done yet.
LEAD = 8
#: Seconds after which a crew that has nothing to tell is asked again.
TICK = 1.0

_NO_MORE: Any = object()

#: A worker as its crew knows it.
Member = TypeVar("Member", bound=Hashable)


@dataclass(frozen=True)
class Event(Generic[Member]):
    """What a member of a crew has to tell.

    Args:
        member: Who.
        kind: It holds its model; it did its job; its job or its start failed; it is no more.
        content: The outcome; the packed error; how it died.
    """

    member: Member
    kind: Literal["ready", "outcome", "failure", "death"]
    content: Any = None


class Crew(Protocol[Member]):
    """Workers somewhere else."""

    def hire(self) -> Member:
        """Start one more member, which tells when it is ready.

        Returns:
            What the member is called.
        """

    def give(self, member: Member, job: "Job") -> None:
        """Give a job to a member that is ready.

        Args:
            member: Who.
            job: What.
        """

    def listen(self, timeout: float) -> Event[Member] | None:
        """Wait for news.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            News of one member, or nothing.
        """

    def dismiss(self) -> None:
        """End all members, whatever they are doing."""


def work_off(
    crew: Crew[Member], jobs: Iterator["Job | None"], *, workers: int
) -> Generator["Outcome", None, None]:
    """Have a crew do jobs, pulling never more than two a worker ahead of what was done.

    Args:
        crew: Who does them; dismissed at the end, however it comes.
        jobs: The jobs; ``None`` means that there is none before another outcome was taken.
        workers: Members of the crew, at most; fewer are started where there are fewer jobs.

    Yields:
        One outcome a job, in the order in which they are done.

    Raises:
        ModelError: When three workers died on the same job, or while loading the model.
        MsmaError: Whatever a worker raised.
    """
    try:
        yield from _Shift(crew, workers).run(jobs)
    finally:
        crew.dismiss()


class _Shift(Generic[Member]):
    """Which jobs wait, and who is at which."""

    def __init__(self, crew: Crew[Member], workers: int) -> None:
        self._crew, self._workers = crew, workers
        self._waiting: deque[Job] = deque()
        self._busy: dict[Member, Job] = {}
        self._idle: list[Member] = []
        self._starting: set[Member] = set()
        #: When each job that is not done yet was pulled, the oldest first.
        self._out: dict[int, int] = {}
        self._n_pulled = 0
        self._is_more, self._has_paused = True, False
        self._deaths: Counter[int] = Counter()
        self._failed_starts = 0

    def run(self, jobs: Iterator["Job | None"]) -> Iterator["Outcome"]:
        """Do all jobs."""
        while self._is_more or self._out:
            can_pull = self._can_pull
            if can_pull:
                self._pull(jobs)
            self._assign()
            event = self._crew.listen(0.0 if can_pull else TICK)
            outcome = None if event is None else self._hear(event)
            if outcome is not None:
                self._has_paused = False
                self._assign()
                yield outcome

    @property
    def _can_pull(self) -> bool:
        """Whether another job may be pulled; one that takes for ever must not let outcomes pile up behind it."""
        if not self._out:
            return self._is_more
        age = self._n_pulled - next(iter(self._out.values()))
        has_room = len(self._out) < 2 * self._workers and age < LEAD * self._workers
        return self._is_more and has_room and not self._has_paused

    def _pull(self, jobs: Iterator["Job | None"]) -> None:
        job = next(jobs, _NO_MORE)
        self._is_more, self._has_paused = job is not _NO_MORE, job is None
        if job is None and self._n_pulled == 1:
            # The rest depends on the first job; the other workers load their model meanwhile.
            while self._n_members < self._workers:
                self._starting.add(self._crew.hire())
        elif job is not None and job is not _NO_MORE:
            self._waiting.append(job)
            self._out[job.number] = self._n_pulled
            self._n_pulled += 1

    def _assign(self) -> None:
        """Give waiting jobs to idle members, and hire where there are more jobs than hands."""
        while self._waiting and self._idle:
            member = self._idle.pop()
            self._busy[member] = self._waiting.popleft()
            self._crew.give(member, self._busy[member])
        while len(self._waiting) > len(self._starting) and self._n_members < self._workers:
            self._starting.add(self._crew.hire())

    @property
    def _n_members(self) -> int:
        return len(self._starting) + len(self._idle) + len(self._busy)

    def _hear(self, event: Event[Member]) -> "Outcome | None":
        """Take note of news; an outcome is handed on."""
        if event.kind == "failure":
            raise unpack_error(event.content)
        if event.kind == "death":
            self._bury(event.member, how=event.content)
            return None
        self._idle.append(event.member)
        if event.kind == "ready":
            self._starting.discard(event.member)
            self._failed_starts = 0
            return None
        del self._out[self._busy.pop(event.member).number]
        return event.content

    def _bury(self, member: Member, *, how: str) -> None:
        """Put the job of a dead member first in the line again, unless it killed too many."""
        if member in self._starting:
            self._starting.discard(member)
            self._failed_starts += 1
            if self._failed_starts >= DEATHS:
                raise ModelError(
                    f"{DEATHS} workers in a row died ({how}) while they loaded the model; the machine probably "
                    "ran out of memory: ask for fewer workers or a smaller dtype"
                )
        elif member in self._busy:
            job = self._busy.pop(member)
            self._deaths[job.number] += 1
            if self._deaths[job.number] >= DEATHS:
                raise ModelError(
                    f"{DEATHS} workers died ({how}) while they read {_name_texts(job)}; the machine probably ran "
                    "out of memory: ask for fewer workers or smaller batches, or leave these texts out"
                )
            self._waiting.appendleft(job)
        elif member in self._idle:
            self._idle.remove(member)


def _name_texts(job: "Job") -> str:
    positions = [record.position for window in job.windows for record in window]
    if not positions:
        return f"job {job.number}"
    return f"texts {min(positions)} to {max(positions)}"
