"""Jobs spread over a Ray cluster: plain actors, each with a model of its own.

Not Ray Data, whose datasets cannot be fed by a stream that lives in one process: ``from_items`` and its like put
every row into the object store before the first is read, and a ``Datasource`` must be cut into tasks that read
the source again on the workers, which an iterator of texts cannot be.
"""

import os
import pickle
import signal
import socket
import sys
import threading
import time
from collections.abc import Generator, Hashable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msma._version import __version__
from msma.errors import ConfigError, MissingExtraError, StorageError
from msma.extraction.crew import Event, work_off
from msma.extraction.process_engine import count_cores, share_threads
from msma.extraction.process_worker import Post, respond

if TYPE_CHECKING:
    from msma.extraction.work import Job, Outcome, WorkerSetup

__all__ = ["run_ray"]

#: Seconds until a file that another node wrote must be seen here; network file systems remember for a while.
PATIENCE = 60.0
#: Seconds until the cluster must have found room for the first worker.
ROOM_PATIENCE = 300.0
#: Seconds until an address must have answered.
KNOCK_PATIENCE = 10.0
#: What keeps Ray from reporting on its users, and from shipping the folder that ``uv run`` was called in.
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}


def run_ray(
    setup: "WorkerSetup",
    jobs: Iterator["Job | None"],
    *,
    workers: int | None = None,
    address: str | None = None,
    devices: Sequence[str] | None = None,
) -> Generator["Outcome", None, None]:
    """Do jobs on a Ray cluster, one actor with a model of its own a worker.

    An actor that dies, alone or with its node, is replaced, and its job given to another.

    Args:
        setup: What a worker is built from; its folder must be the same one on all nodes.
        jobs: The jobs, pulled at most two a worker ahead; ``None`` means that there is none before another
            outcome was taken.
        workers: Actors, at most; when left out one a GPU, or else one for every four cores, at least two.
        address: Of a running cluster ("auto", "host:port", "ray://host:port"); when left out, a Ray of this
            machine alone is started, and ended with the iterator. Where this process is connected to a Ray
            already, that one is used and left running.
        devices: ("cpu",), ("cuda",) or ("auto",): GPUs where there are any.

    Yields:
        One outcome a job, in the order in which they are done.

    Raises:
        MissingExtraError: When Ray is not installed.
        ConfigError: When the cluster does not answer or has no room.
        StorageError: When the nodes do not see the same folder.
        ModelError: When three workers died on the same job, or while loading the model.
        MsmaError: Whatever a worker raised, the same class with the same message.
    """
    with _connected(address, workers=workers) as ray:
        share = _find_share(ray.nodes(), workers=workers, device=_check_device(devices))
        # Closed by hand: the actors must go before the connection does.
        with closing(work_off(_Actors(ray, setup, share), jobs, workers=share.workers)) as outcomes:
            for outcome in outcomes:
                _check_visible(_find_result(setup, outcome))
                yield outcome


@contextmanager
def _connected(address: str | None, *, workers: int | None) -> Iterator[Any]:
    """Connect to a cluster, or start one here, and leave things as they were."""
    with _quiet():
        try:
            import ray
        except ImportError as error:
            raise MissingExtraError("ray", extra="ray") from error
        is_ours = not ray.is_initialized()
        if is_ours:
            _connect(ray, address, workers=workers)
    try:
        yield ray
    finally:
        if is_ours:
            ray.shutdown()


def _connect(ray: Any, address: str | None, *, workers: int | None) -> None:
    options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        n_cpus = max(count_cores(), workers or 2)
        options |= {"address": "local", "num_cpus": n_cpus, "include_dashboard": False}
    try:
        _knock(address)
        ray.init(**options)
    except (OSError, ValueError, RuntimeError) as error:
        where = "could not be started here" if address is None else f"does not answer at '{address}'"
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"Ray {where} ({reason}); check the address, or leave it out for a Ray of this machine"
        ) from error


def _knock(address: str | None) -> None:
    """See in seconds whether anyone is at an address; Ray itself tries for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=KNOCK_PATIENCE).close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Let Ray start without a word, and without keeping the signal handler that it sets."""
    before = {name: os.environ.get(name) for name in _QUIET}
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM) if is_main else None
    os.environ.update({name: value for name, value in _QUIET.items() if before[name] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
        if handler is not None:
            signal.signal(signal.SIGTERM, handler)


@dataclass(frozen=True, kw_only=True)
class _Share:
    """What each actor gets of a cluster."""

    workers: int
    n_cpus: int
    n_gpus: int
    threads: int
    device: str | None


def _check_device(devices: Sequence[str] | None) -> str:
    asked = tuple(devices or ("auto",))
    if len(asked) != 1 or asked[0] not in ("auto", "cpu", "cuda"):
        raise ConfigError(
            f"devices {', '.join(asked)} came with a Ray cluster; expected one of auto, cpu, cuda: "
            "Ray itself says which GPU is whose"
        )
    return asked[0]


def _find_share(nodes: Sequence[Mapping[str, Any]], *, workers: int | None, device: str) -> _Share:
    """Cut the nodes into equal shares, the largest of which as many fit as there are workers."""
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    n_gpus = 0 if device == "cpu" else sum(int(node.get("GPU", 0)) for node in alive)
    n_cpus = sum(int(node.get("CPU", 0)) for node in alive)
    if device == "cuda" and not n_gpus:
        raise ConfigError("device cuda came and the Ray cluster has no GPU; say cpu, or add a node with one")
    workers = workers or n_gpus or max(2, n_cpus // 4)
    if n_gpus and workers > n_gpus:
        raise ConfigError(
            f"{workers} workers came and the Ray cluster has {n_gpus} GPUs; ask for {n_gpus} at most, or say cpu"
        )
    each = 1 if n_gpus else 0

    def count_fitting(size: int) -> int:
        fitting = (min(int(node.get("CPU", 0)) // size, *_gpu_room(node, each)) for node in alive)
        return sum(fitting)

    size = next((c for c in range(n_cpus // workers, 0, -1) if count_fitting(c) >= workers), 0)
    return _Share(
        workers=workers,
        n_cpus=size,
        n_gpus=each,
        threads=share_threads(1, cores=max(1, size)),
        device=None if device == "auto" else device,
    )


def _gpu_room(node: Mapping[str, Any], each: int) -> tuple[int, ...]:
    """How many workers a node's GPUs suffice for; two equal numbers' worth of nothing where none is asked."""
    return (int(node.get("GPU", 0)),) if each else (sys.maxsize,)


class Replica(Post):
    """An actor: a worker that is spoken to in bytes on another machine."""

    def join(self, version: str, folder: str, path: Sequence[str], threads: int) -> bytes:
        """Make this process like the driver's.

        Args:
            version: Version of this package that the driver has.
            folder: Where the driver stands, so that relative paths mean the same.
            path: The driver's search path for modules, added to this one's.
            threads: Threads that PyTorch may use.

        Returns:
            What :func:`respond` makes of it: "joined" and nothing.
        """

        def act() -> None:
            if version != __version__:
                raise ConfigError(
                    f"a node of the Ray cluster has msma {__version__} and this machine has {version}; "
                    "install the same version on all"
                )
            if os.path.isdir(folder):
                os.chdir(folder)
            sys.path.extend(entry for entry in path if entry not in sys.path)
            os.environ.update({"OMP_NUM_THREADS": str(threads), "RAYON_NUM_THREADS": str(threads)})
            if "torch" in sys.modules:
                import torch

                torch.set_num_threads(threads)

        return respond("joined", act)


class _Actors:
    """A crew of Ray actors."""

    def __init__(self, ray: Any, setup: "WorkerSetup", share: _Share) -> None:
        self._ray, self._setup, self._share = ray, pickle.dumps(setup), share
        self._kind = ray.remote(Replica).options(
            num_cpus=share.n_cpus, num_gpus=share.n_gpus, max_restarts=0, max_task_retries=0
        )
        self._members: list[Any] = []
        self._pending: dict[Any, Any] = {}
        self._started, self._has_room = time.monotonic(), False

    def hire(self) -> Hashable:
        member = self._kind.remote()
        self._members.append(member)
        path = [os.path.abspath(entry) for entry in sys.path]
        self._pending[member.join.remote(__version__, os.getcwd(), path, self._share.threads)] = member
        return member

    def give(self, member: Any, job: "Job") -> None:
        self._pending[member.read.remote(pickle.dumps(job))] = member

    def listen(self, timeout: float) -> Event | None:
        done, _ = (
            self._ray.wait(list(self._pending), num_returns=1, timeout=timeout) if self._pending else ([], 0)
        )
        if not done:
            self._check_room()
            return None
        member = self._pending.pop(done[0])
        try:
            kind, content = pickle.loads(self._ray.get(done[0]))
        except self._ray.exceptions.RayTaskError:
            raise
        except self._ray.exceptions.RayError as error:
            if "failed to import" in str(error):
                raise ConfigError(
                    f"a node of the Ray cluster cannot import msma {__version__}; install it on all nodes, with "
                    "the same Python"
                ) from error
            self._members.remove(member)
            self._ray.kill(member)
            return Event(member, "death", _first_line(error))
        if kind == "joined":
            self._has_room = True
            self._pending[member.build.remote(self._setup, self._share.device)] = member
            return None
        return Event(member, kind, content)

    def _check_room(self) -> None:
        if not self._has_room and time.monotonic() - self._started > ROOM_PATIENCE:
            share = self._share
            raise ConfigError(
                f"the Ray cluster had no room for a worker with {share.n_cpus} cores and {share.n_gpus} GPUs for "
                f"{ROOM_PATIENCE:.0f} s; free some, or ask for more and thereby smaller workers"
            )

    def dismiss(self) -> None:
        for member in self._members:
            self._ray.kill(member)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _find_result(setup: "WorkerSetup", outcome: "Outcome") -> Path | None:
    """Tell which file must be there once a job is done, if any."""
    if setup.folder is None or outcome.kind != "read":
        return None
    from msma.extraction.work import part_folder

    if setup.store == "moments":
        return part_folder(setup.folder, outcome.number)
    return setup.folder / f"shard-{outcome.number:05d}.safetensors"


def _check_visible(path: Path | None) -> None:
    """Refuse a folder that only its own node sees."""
    end = time.monotonic() + PATIENCE
    while path is not None and not path.exists():
        if time.monotonic() > end:
            raise StorageError(
                f"a worker wrote '{path}' and it is not to be seen here; give a folder that all nodes of the Ray "
                "cluster share under the same name"
            )
        time.sleep(0.5)
        if path.parent.is_dir():
            os.listdir(path.parent)  # makes a network file system look again
