"""Where jobs are done: in this process, in several, or on a cluster; one call for all."""

from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from msma.errors import ConfigError
from msma.extraction.process_engine import count_cores, run_processes
from msma.extraction.ray_engine import run_ray

if TYPE_CHECKING:
    from msma.extraction.jobs import Job, Outcome, WorkerSetup

__all__ = ["Engine", "run_jobs"]

#: Where jobs are done.
Engine: TypeAlias = Literal["local", "processes", "ray"]


def run_jobs(
    setup: "WorkerSetup",
    jobs: Iterator["Job | None"],
    *,
    engine: Engine = "local",
    workers: int | None = None,
    address: str | None = None,
    devices: Sequence[str] | None = None,
) -> Generator["Outcome", None, None]:
    """Do jobs with one worker in this process, with several processes, or on a Ray cluster.

    Args:
        setup: What a worker is built from.
        jobs: The jobs, pulled as workers become free; ``None`` means that there is none before another outcome
            was taken.
        engine: "local", "processes" or "ray".
        workers: How many; when left out one a GPU, or else one for every four cores, at least two.
        address: Of a running Ray cluster ("auto", "host:port", "ray://host:port").
        devices: Where the workers' models go, in turn; where the setup says when left out, and with "auto" all
            GPUs where there are several.

    Returns:
        One outcome a job, in the order in which they are done; close it to end the workers early.

    Raises:
        ConfigError: When a setting is impossible, or only this process has the model.
    """
    _check(engine, workers=workers, address=address)
    if engine == "local":
        return _run_here(setup, jobs, device=_choose_one(devices or ()))
    if not setup.is_portable:
        raise ConfigError(
            f"a {type(setup.model).__name__} in memory came with engine '{engine}', whose workers load the model "
            "themselves; give its name or folder"
        )
    if engine == "ray":
        asked = _asked_devices(setup, devices)
        return run_ray(setup, jobs, workers=workers, address=address, devices=asked)
    chosen = _find_devices(_asked_devices(setup, devices))
    workers = workers or len(chosen) or max(2, count_cores() // 4)
    return run_processes(setup, jobs, workers=workers, devices=chosen)


def _check(engine: str, *, workers: int | None, address: str | None) -> None:
    if engine not in get_args(Engine):
        raise ConfigError(f"engine '{engine}' came; expected one of {', '.join(get_args(Engine))}")
    if workers is not None and workers < 1:
        raise ConfigError(f"{workers} workers came; expected 1 or more")
    if engine == "local" and workers is not None and workers > 1:
        raise ConfigError(
            f"{workers} workers came with engine 'local', which is one; say 'processes' or 'ray'"
        )
    if engine != "ray" and address is not None:
        raise ConfigError(f"address '{address}' came with engine '{engine}'; only 'ray' has one")


def _choose_one(devices: Sequence[str]) -> str | None:
    if len(devices) > 1:
        raise ConfigError(
            f"devices {', '.join(devices)} came with engine 'local', which uses one; say 'processes'"
        )
    return next((device for device in devices if device != "auto"), None)


def _asked_devices(setup: "WorkerSetup", devices: Sequence[str] | None) -> tuple[str, ...]:
    """The devices named, or the setup's own; none where it spreads one model over several."""
    if devices:
        return tuple(devices)
    if setup.loading.get("device_map") is not None:
        return ()
    return (setup.loading.get("device") or "auto",)


def _find_devices(asked: tuple[str, ...]) -> tuple[str, ...]:
    """The devices asked for; with "auto" all GPUs where there are several, else none."""
    if asked != ("auto",):
        return asked
    import torch

    n_gpus = torch.cuda.device_count()
    return tuple(f"cuda:{number}" for number in range(n_gpus)) if n_gpus > 1 else ()


def _run_here(
    setup: "WorkerSetup", jobs: Iterator["Job | None"], *, device: str | None
) -> Generator["Outcome", None, None]:
    worker = setup.build(device)
    for job in jobs:
        if job is not None:
            yield worker.read(job)
