"""Jobs spread over a Ray cluster: plain actors, each with a model of its own.

Not Ray Data, whose datasets cannot be fed by a stream that lives in one process: ``from_items`` and its like put
every row into the object store before the first is read, and a ``Datasource`` must be cut into tasks that read
the source again on the workers, which an iterator of texts cannot be.
"""

import os
import pickle
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msma._version import __version__
from msma.errors import ConfigError, StorageError
from msma.extraction.crew import Event, work_off
from msma.extraction.process_worker import Post, respond
from msma.extraction.ray_cluster import Share, check_device, connected, find_share

if TYPE_CHECKING:
    from msma.extraction.jobs import Job, Outcome, WorkerSetup

__all__ = ["run_ray"]

#: Seconds until a file that another node wrote must be seen here; network file systems remember for a while.
PATIENCE = 60.0
#: Seconds until the cluster must have found room for the first worker.
ROOM_PATIENCE = 300.0


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
    with connected(address, workers=workers) as ray:
        share = find_share(ray.nodes(), workers=workers, device=check_device(devices))
        # Closed by hand: the actors must go before the connection does.
        with closing(work_off(_Actors(ray, setup, share), jobs, workers=share.workers)) as outcomes:
            for outcome in outcomes:
                _check_visible(_find_result(setup, outcome))
                yield outcome


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

    def __init__(self, ray: Any, setup: "WorkerSetup", share: Share) -> None:
        self._ray, self._setup, self._share = ray, pickle.dumps(setup), share
        self._kind = ray.remote(Replica).options(
            num_cpus=share.n_cpus, num_gpus=share.n_gpus, max_restarts=0, max_task_retries=0
        )
        self._members: list[Any] = []
        self._pending: dict[Any, Any] = {}
        self._started, self._has_room = time.monotonic(), False

    def hire(self) -> Any:
        member = self._kind.remote()
        self._members.append(member)
        path = [os.path.abspath(entry) for entry in sys.path]
        self._pending[member.join.remote(__version__, os.getcwd(), path, self._share.threads)] = member
        return member

    def give(self, member: Any, job: "Job") -> None:
        self._pending[member.read.remote(pickle.dumps(job))] = member

    def listen(self, timeout: float) -> Event[Any] | None:
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
    from msma.extraction.notes import part_folder

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
