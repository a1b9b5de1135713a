"""Jobs spread over processes of this machine, each with a model of its own, each on a device of its own."""

import os
import pickle
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, cast

from msma.extraction import process_worker
from msma.extraction.crew import Event, work_off

if TYPE_CHECKING:
    from msma.extraction.jobs import Job, Outcome, WorkerSetup

__all__ = ["count_cores", "run_processes", "share_threads"]

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "RAYON_NUM_THREADS")


def run_processes(
    setup: "WorkerSetup",
    jobs: Iterator["Job | None"],
    *,
    workers: int,
    devices: Sequence[str] | None = None,
) -> Generator["Outcome", None, None]:
    """Do jobs in processes of this machine.

    A process that dies is replaced, and its job given to the next; the processes end with the iterator, with an
    error, and when this process is killed. A script that calls this needs no ``__main__`` guard.

    Args:
        setup: What a worker is built from.
        jobs: The jobs, pulled at most two a worker ahead; ``None`` means that there is none before another
            outcome was taken.
        workers: Processes, at most.
        devices: Where their models go, in turn; where the setup says when left out.

    Yields:
        One outcome a job, in the order in which they are done.

    Raises:
        ModelError: When three processes died on the same job, or while loading the model.
        MsmaError: Whatever a worker raised, the same class with the same message.
    """
    yield from work_off(_Processes(setup, workers, devices or ()), jobs, workers=workers)


def count_cores() -> int:
    """Count the processor cores that this process may use.

    Returns:
        At least 1.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def share_threads(workers: int, *, cores: int | None = None) -> int:
    """Tell how many threads one of several workers should have.

    Args:
        workers: How many share the cores.
        cores: Cores; those of this machine when left out.

    Returns:
        What OMP_NUM_THREADS says, or else an equal share, at least 1.
    """
    said = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if said.isdigit() and int(said) > 0:
        return int(said)
    return max(1, (count_cores() if cores is None else cores) // workers)


class _Process:
    """One process, and the thread of this one that talks with it."""

    def __init__(
        self, slot: int, environment: dict[str, str], events: "queue.SimpleQueue[Event[_Process]]"
    ) -> None:
        self.slot = slot
        self._events = events
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [sys.executable, "-P", process_worker.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=environment,
            process_group=0,  # Ctrl-C reaches the driver alone, which ends the others in good order
        )
        self._stdin, self._stdout = cast(
            "tuple[BinaryIO, BinaryIO]", (self._process.stdin, self._process.stdout)
        )
        self._thread = threading.Thread(target=self._converse, daemon=True)
        self._thread.start()

    def tell(self, content: bytes) -> None:
        self._outbox.put(content)

    def _converse(self) -> None:
        try:
            while (content := self._outbox.get()) is not None:
                process_worker.send(self._stdin, content)
                kind, answer = pickle.loads(process_worker.receive(self._stdout))
                self._events.put(Event(self, kind, answer))
        except (EOFError, OSError):
            self._events.put(Event(self, "death", self.describe_end(timeout=process_worker.GRACE)))
        except Exception as error:  # what came of the job cannot be unpickled here
            self._events.put(Event(self, "failure", process_worker.pack_error(error)))

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def describe_end(self, *, timeout: float = 0.0) -> str:
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return "closed its pipe"
        return f"killed by signal {-code}" if code < 0 else f"exit code {code}"

    def close(self) -> None:
        """Ask it to end: it does when its pipe closes."""
        self._outbox.put(None)
        with suppress(OSError):
            self._stdin.close()

    def bury(self, *, deadline: float) -> None:
        """Wait for its end, and bring it about where it takes too long."""
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        finally:
            self._process.kill()
            self._process.wait()
        # A process of its own that it left behind may hold the pipe open; the thread then waits for that alone.
        self._thread.join(process_worker.GRACE)
        if not self._thread.is_alive():
            self._stdout.close()


class _Processes:
    """A crew of processes."""

    def __init__(self, setup: "WorkerSetup", workers: int, devices: Sequence[str]) -> None:
        self._setup, self._workers, self._devices = pickle.dumps(setup), workers, devices
        self._events: queue.SimpleQueue[Event[_Process]] = queue.SimpleQueue()
        self._members: list[_Process] = []

    def hire(self) -> _Process:
        taken = {member.slot for member in self._members}
        slot = next(number for number in range(self._workers) if number not in taken)
        threads = str(share_threads(self._workers))
        environment = {**dict.fromkeys(_THREAD_VARIABLES, threads), **os.environ}
        member = _Process(slot, environment, self._events)
        self._members.append(member)
        device = self._devices[slot % len(self._devices)] if self._devices else None
        path = [os.path.abspath(entry) for entry in sys.path]
        member.tell(pickle.dumps((path, self._setup, device)))
        return member

    def give(self, member: _Process, job: "Job") -> None:
        member.tell(pickle.dumps(job))

    def listen(self, timeout: float) -> Event[_Process] | None:
        event = self._next_event(timeout)
        if event is None or event.member not in self._members:
            return None
        if event.kind == "death":
            self._end([member for member in self._members if member is event.member])
        return event

    def _next_event(self, timeout: float) -> Event[_Process] | None:
        try:
            return self._events.get(timeout=timeout) if timeout else self._events.get_nowait()
        except queue.Empty:
            if not timeout:
                return None
        # Normally the pipe tells of a death; not where something else still holds it open.
        dead = next((member for member in self._members if member.has_ended()), None)
        return None if dead is None else Event(dead, "death", dead.describe_end())

    def dismiss(self) -> None:
        self._end(self._members)

    def _end(self, members: Sequence[_Process]) -> None:
        gone = list(members)
        self._members = [member for member in self._members if member not in gone]
        for member in gone:
            member.close()
        deadline = time.monotonic() + process_worker.GRACE
        for member in gone:
            member.bury(deadline=deadline)
