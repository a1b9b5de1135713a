"""Workers without a model, for the engines: importable by a fresh process, and quick to start."""

import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from msma import errors


@dataclass(frozen=True)
class FakeRecord:
    position: int


@dataclass(frozen=True)
class FakeJob:
    number: int
    windows: tuple = ()


@dataclass(frozen=True)
class FakeOutcome:
    number: int
    pid: int
    device: str | None
    threads: str | None
    kind: str = "read"
    node: str | None = None
    shard: object = None


class Odd(Exception):
    """Cannot be pickled as it is: it wants two arguments and keeps one."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")
        self.second = second


class Wordy(Exception):
    """Can be neither pickled nor made of its message."""

    def __str__(self):
        return f"{self.args} and more"

    def __reduce__(self):
        raise TypeError("cannot be pickled")


@dataclass(frozen=True)
class FakeSetup:
    """Say what goes wrong: the keys of ``trouble`` are job numbers."""

    model: object = "fake"
    loading: dict = field(default_factory=dict)
    folder: Path | None = None
    store: str = "states"
    trouble: dict = field(default_factory=dict)
    build_trouble: str | None = None
    nap: float = 0.0
    is_portable: bool = True

    def build(self, device=None):
        act(self.build_trouble, self.folder, "build")
        return FakeWorker(self, device)


class FakeWorker:
    def __init__(self, setup, device):
        self.setup, self.device = setup, device

    def read(self, job):
        print("noise on stdout", flush=True)
        time.sleep(self.setup.nap)
        act(self.setup.trouble.get(job.number), self.setup.folder, job.number)
        if self.setup.folder is not None:
            (self.setup.folder / f"shard-{job.number:05d}.safetensors").write_text(str(job.number))
        ray = sys.modules.get("ray")
        return FakeOutcome(
            number=job.number,
            pid=os.getpid(),
            device=self.device,
            threads=os.environ.get("OMP_NUM_THREADS"),
            node=ray.get_runtime_context().get_node_id() if ray and ray.is_initialized() else None,
        )


def act(trouble, folder, name):
    """Do what a worker should not."""
    if trouble == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if trouble == "die once" and not (folder / f"died-{name}").exists():
        (folder / f"died-{name}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if trouble == "exit":
        raise SystemExit(7)
    if trouble == "hang":
        (folder / f"hangs-{os.getpid()}").touch()
        time.sleep(600)
    if trouble == "odd":
        raise Odd("one", "two")
    if trouble == "wordy":
        raise Wordy("a")
    if trouble == "key":
        raise KeyError("a key")
    if trouble == "extra":
        raise errors.MissingExtraError("pandas", extra="report")
    if trouble is not None and hasattr(errors, trouble):
        raise getattr(errors, trouble)(f"{trouble} came; expected none")


def make_jobs(n, pulled=None):
    """Jobs of two windows of two texts each; numbers of those pulled are noted."""
    for number in range(n):
        if pulled is not None:
            pulled.append(number)
        first = 4 * number
        windows = tuple(tuple(FakeRecord(first + 2 * w + i) for i in range(2)) for w in range(2))
        yield FakeJob(number, windows)
