"""Which processes work, and where: what `joblib.parallel_config` is told for --workers, --cluster or a backend.

joblib speaks to processes of its own (loky), to Dask, and to whatever else is registered with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...models.engines.devices import list_gpus
from ..errors import ClusterUnreachable, InvalidRequest
from .request import Request

CONNECT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Backend:
    """What joblib is told."""

    config: Mapping[str, Any]
    """Arguments of `parallel_config`; of Dask's backend, where that is what works."""
    threads: int | None = None
    """Of each worker; None where it has its own."""
    gpus: tuple[str, ...] = ()
    """One for each worker, where there are several."""
    client: Any = None
    """Of Dask, where that is what works."""

    def arguments(self, workers: Sequence[str] = ()) -> dict[str, Any]:
        """Return what `parallel_config` is given for one call, in which only some workers of Dask may work."""
        if self.client is None:
            return dict(self.config)
        only = {"workers": list(workers)} if workers else {}
        return {"backend": _dask_backend(self.client, {**self.config, **only})}


def choose_backend(request: Request) -> Backend | None:
    """Return what joblib is told; None where nothing asks for workers, or one process is as good.

    Raises
    ------
    InvalidRequest
        What is asked for does not go together.
    ClusterUnreachable
        Nobody answers at the cluster's address.
    """
    workers, cluster, backend = request["workers"], request["cluster"], request["backend"]
    if workers not in (None, "auto") and (not isinstance(workers, int) or workers < 1):
        raise InvalidRequest(f"there cannot be {workers!r} workers: expected 1 or more, or auto")
    if cluster is not None:
        if workers is not None or backend is not None:
            raise InvalidRequest("--cluster has workers of its own: leave out --workers, or a backend of joblib's")
        return Backend({}, client=connect(cluster))
    if backend is not None:
        return _given(backend, workers)
    return None if workers is None else _local(workers)


def connect(address: str) -> Any:
    """Return Dask's client of the scheduler at dask://HOST:PORT.

    Raises
    ------
    InvalidRequest
        It is no such address, or Dask is not installed.
    ClusterUnreachable
        Nobody answers there.
    """
    scheme, _, place = address.partition("://")
    if scheme != "dask" or not place.rpartition(":")[2].isdecimal():
        raise InvalidRequest(f"there is no cluster at {address!r}: expected dask://HOST:PORT")
    try:
        from distributed import Client
    except ImportError as error:
        raise InvalidRequest(f"{address} needs Dask, which is not installed: pip install 'demijohn[dask]'") from error
    try:
        return Client(f"tcp://{place}", timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ClusterUnreachable(
            f"nobody answers at {address} ({error}): expected a scheduler; start one with dask scheduler, and workers "
            f"with dask worker tcp://{place}"
        ) from error


def _local(workers: Any) -> Backend | None:
    from joblib import cpu_count

    gpus, cores = list_gpus(), cpu_count()
    if workers == "auto":
        # Of processors, one process with all cores was measured to be the best: docs/scale.md.
        if len(gpus) < 2:
            return None
        workers = len(gpus)
    own = tuple(gpus[number % len(gpus)] for number in range(workers)) if len(gpus) > 1 else ()
    return Backend({"backend": "loky", "n_jobs": workers}, max(1, cores // workers), own)


def _given(backend: Any, workers: Any) -> Backend:
    config = dict(backend) if isinstance(backend, Mapping) else {"backend": backend}
    if workers == "auto":
        raise InvalidRequest("workers='auto' is of local processes: give a number beside a backend")
    if config.get("backend") == "dask":
        from distributed import get_client

        # The one that joblib would find, so that workers can be told apart.
        del config["backend"]
        return Backend(config, client=config.pop("client", None) or get_client())
    if workers is not None:
        config["n_jobs"] = workers
    # joblib's own default is one.
    config.setdefault("n_jobs", -1)
    return Backend(config)


def _dask_backend(client: Any, options: Mapping[str, Any]) -> Any:
    from joblib._dask import DaskDistributedBackend

    class Cluster(DaskDistributedBackend):  # type: ignore[misc]
        def effective_n_jobs(self, n_jobs: int) -> int:
            # Where jobs are done one after the other, joblib does them itself, in the driver.
            return max(2, int(super().effective_n_jobs(n_jobs)))

    return Cluster(client=client, **options)
