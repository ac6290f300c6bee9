"""What a worker does: a job comes in, rows go into the store, a summary goes back.

A worker is a process. It opens the backbones with its first job and keeps them for the next ones of
the same pool; its memory is that of an extraction that runs alone, whatever the size of the job.
"""

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from ...cache.store import FeatureStore
from ...models.engines.engines import choose_engine
from ...models.errors import ModelError, UnsuitableSetting
from ..errors import OtherNumbers
from ..pictures.feed import Picture
from ..progress import SILENT, Silent
from .frozen import FrozenBackbone
from .request import Request
from .runner import Outcome, Runner
from .survey import Family

SLICE_SECONDS = 60.0
"""After which a worker returns what it has done, so that a slow one never holds many pictures for long."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where jobs are done."""

    driver: str
    """Name of the process that gives them."""
    threads: int | None = None
    """Of each worker that the driver starts on this machine; None where the backend knows."""
    gpus: tuple[str, ...] = ()
    """One for each worker, as `CUDA_VISIBLE_DEVICES` calls them; empty where workers need not be told apart."""
    claims: Path | None = None
    """Folder, on this machine, in which workers claim their GPU."""


@dataclass(frozen=True, slots=True)
class WorkerJob:
    """What a worker is asked for."""

    pool: str
    """Jobs of one pool are of the same request, so that what was opened for one serves the next."""
    task: Literal["choose_generations", "open", "run"]
    store: Path
    """Absolute."""
    request: Request
    families: tuple[Family, ...]
    """All of the pool; their plans hold what is missing of these pictures."""
    place: Place
    pictures: tuple[Picture, ...] = ()
    start: int = 0
    """Place of the first picture among all."""
    new: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker returns."""

    worker: str
    value: Any = None
    """What the runner returned; of a run, how many pictures were taken."""
    outcome: Outcome = field(default_factory=Outcome)
    start: int = 0
    count: int = 0
    """Pictures of the job."""
    notes: tuple[tuple[str, str], ...] = ()
    """`say` or `warn`, and the text."""
    refusal: OtherNumbers | ModelError | None = None
    """Why this worker must not do it."""
    peak_bytes: int = 0
    """The most memory that the process has ever had; 0 where the system does not tell."""


def serve(job: WorkerJob) -> Answer:
    """Do a job and return what came of it; one at a time in each process."""
    with _bench.lock:
        outcome = Outcome()
        value: Any = None
        refusal: OtherNumbers | ModelError | None = None
        settle(job.place)
        try:
            runner = _bench.runner(job)
            if job.task == "run":
                with SILENT.count(0, cached=0) as count:
                    value = runner.run(job.pictures, job.families, outcome, count, alone=False, seconds=SLICE_SECONDS)
            elif job.task == "open":
                value = runner.open(job.families, new=job.new)
            else:
                value = runner.choose_generations(job.families)
        except (OtherNumbers, ModelError) as error:
            refusal = error
        return Answer(
            _worker_name(),
            value,
            outcome,
            job.start,
            len(job.pictures),
            _bench.notes.take(),
            refusal,
            peak_bytes(),
        )


def process_name() -> str:
    """Return what tells this process from those of other machines."""
    return f"{socket.gethostname()}-{os.getpid()}"


def settle(place: Place) -> None:
    """Keep this process to its threads and its GPU, before anything asks how many there are; not that of the driver."""
    if process_name() == place.driver or _bench.settled:
        return
    _bench.settled = True
    threads = place.threads or _dask_threads()
    if threads:
        # Of decoding and of OpenVINO, which ask joblib; of TensorFlow.
        os.environ["LOKY_MAX_CPU_COUNT"] = os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads)
    if place.threads:
        threading.Thread(target=_end_with_parent, args=(os.getppid(),), name="parent", daemon=True).start()
    if place.gpus and place.claims:
        os.environ["CUDA_VISIBLE_DEVICES"], _bench.claim = claim_gpu(place.gpus, place.claims)
        # Several may share one.
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


def _end_with_parent(parent: int) -> None:
    """End this process soon after the driver that started it; what it has in hand counts for nobody.

    joblib's processes would stay for minutes, with their memory.
    """
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def claim_gpu(gpus: Sequence[str], folder: Path, *, seconds: float = 30.0) -> tuple[str, FileLock]:
    """Return a GPU that no other process has, and what holds it for as long as this process lives.

    The lock ends with the process, so that whoever takes a dead worker's place gets its GPU.
    """
    until = time.monotonic() + seconds
    while True:
        for number, gpu in enumerate(gpus):
            lock = FileLock(folder / f"gpu-{number}.lock")
            with contextlib.suppress(Timeout):
                lock.acquire(timeout=0)
                return gpu, lock
        if time.monotonic() > until:
            raise UnsuitableSetting(f"no GPU is free: expected one of {', '.join(gpus)}; start fewer --workers")
        time.sleep(0.1)


class _Notes(Silent):
    """Keeps what is said, for the driver."""

    def __init__(self) -> None:
        self._notes: list[tuple[str, str]] = []

    def say(self, text: str) -> None:
        self._notes.append(("say", text))

    def warn(self, text: str) -> None:
        self._notes.append(("warn", text))

    def take(self) -> tuple[tuple[str, str], ...]:
        notes, self._notes = tuple(self._notes), []
        return notes


class _Bench:
    """What a worker's process keeps from one job to the next."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.notes = _Notes()
        self.settled = False
        self.claim: Any = None
        self._pool = ""
        self._runner: Runner | None = None

    def runner(self, job: WorkerJob) -> Runner:
        """Return the runner of the job's pool; that of an earlier one goes."""
        if self._runner is None or self._pool != job.pool:
            self._runner = None
            request: Request = {**job.request, "progress": self.notes}
            for frozen in dict.fromkeys(family.frozen for family in job.families):
                _choose(frozen, request, self.notes)
            self._runner, self._pool = Runner(FeatureStore(job.store), job.families, request), job.pool
        return self._runner


_bench = _Bench()


def _choose(frozen: FrozenBackbone, request: Request, notes: _Notes) -> None:
    """Choose what runs a backbone on this machine, where the driver may have none of its devices."""
    fixed = None if frozen.precision == "float32" else frozen.choice.engine
    choice = choose_engine(
        frozen.backbone.name,
        precision=frozen.precision,
        engine=request["engine"] or fixed,
        batch_size=request["batch_size"],
        device=request["device"],
    )
    if choice.device.note:
        notes.warn(choice.device.note)
    frozen.settle(choice, notes)


def _dask_worker() -> Any:
    """Return the Dask worker that this is, or None."""
    distributed: Any = sys.modules.get("distributed")
    try:
        return distributed.get_worker() if distributed else None
    except ValueError:
        return None


def _dask_threads() -> int | None:
    worker = _dask_worker()
    return worker.state.nthreads if worker else None


def _worker_name() -> str:
    worker = _dask_worker()
    return str(worker.address) if worker else process_name()


def peak_bytes() -> int:
    """Return the most memory that this process has had; 0 where the system does not tell."""
    try:
        # What resource tells is that of the parent, where that was larger.
        status = Path("/proc/self/status").read_text("ascii")
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)
