"""A Ray cluster: joined or started here, and cut into equal shares for workers."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from msma.errors import ConfigError, MissingExtraError
from msma.extraction.process_engine import count_cores, share_threads

__all__ = ["Share", "check_device", "connected", "find_share"]

#: Seconds until an address must have answered.
KNOCK_PATIENCE = 10.0
#: What keeps Ray from reporting on its users, and from shipping the folder that ``uv run`` was called in.
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}


@contextmanager
def connected(address: str | None, *, workers: int | None) -> Iterator[Any]:
    """Connect to a cluster, or start one here, and leave things as they were.

    Args:
        address: Of a running cluster; one of this machine alone is started when left out.
        workers: Actors that will be asked for.

    Yields:
        The module ``ray``, connected.

    Raises:
        MissingExtraError: When Ray is not installed.
        ConfigError: When the cluster does not answer.
    """
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
class Share:
    """What each actor gets of a cluster.

    Args:
        workers: How many there are.
        n_cpus: Cores reserved for each; 0 where there are fewer cores than workers.
        n_gpus: GPUs reserved for each.
        threads: Threads that PyTorch may use.
        device: Where its model goes; where the setup says when ``None``.
    """

    workers: int
    n_cpus: int
    n_gpus: int
    threads: int
    device: str | None


def check_device(devices: Sequence[str] | None) -> str:
    """Take the one kind of device that actors may have.

    Args:
        devices: What was asked for.

    Returns:
        "auto", "cpu" or "cuda".

    Raises:
        ConfigError: When something else was, or several.

    Examples:
        >>> check_device(None), check_device(("cpu",))
        ('auto', 'cpu')
    """
    asked = tuple(devices or ("auto",))
    if len(asked) != 1 or asked[0] not in ("auto", "cpu", "cuda"):
        raise ConfigError(
            f"devices {', '.join(asked)} came with a Ray cluster; expected one of auto, cpu, cuda: "
            "Ray itself says which GPU is whose"
        )
    return asked[0]


def find_share(nodes: Sequence[Mapping[str, Any]], *, workers: int | None, device: str) -> Share:
    """Cut the nodes into equal shares, the largest of which as many fit as there are workers.

    Args:
        nodes: What ``ray.nodes()`` says.
        workers: How many; when left out one a GPU, or else one for every four cores, at least two.
        device: "auto", "cpu" or "cuda".

    Returns:
        What each worker gets.

    Raises:
        ConfigError: When there are fewer GPUs than workers, or none where they are asked for.

    Examples:
        >>> nodes = [{"Alive": True, "Resources": {"CPU": cores}} for cores in (8.0, 2.0)]
        >>> find_share(nodes, workers=2, device="cpu").n_cpus  # one of five would not fit on the second node
        4
    """
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
    return Share(
        workers=workers,
        n_cpus=size,
        n_gpus=each,
        threads=share_threads(1, cores=max(1, size)),
        device=None if device == "auto" else device,
    )


def _gpu_room(node: Mapping[str, Any], each: int) -> tuple[int, ...]:
    """How many workers a node's GPUs suffice for; any number where none is asked."""
    return (int(node.get("GPU", 0)),) if each else (sys.maxsize,)
