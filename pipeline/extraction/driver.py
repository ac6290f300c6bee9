"""An extraction by several processes, here or on other machines: the driver deals, workers decode, run and write.

joblib gives up a whole call when one of its processes is killed, so it goes in rounds: pictures are dealt
until none is left or a worker is lost, then what is still missing is planned anew from what the store has.
Nothing hangs on a worker's answer but the count: what it wrote is there, and what was written twice
counts once. The driver itself may be killed and started again.
"""

import multiprocessing
import tempfile
import time
import uuid
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ...cache.part import Key
from ...cache.plan import Plan
from ..errors import ClusterUnreachable, WorkersLost
from ..interruption import stopping_at_once
from ..pictures.feed import Picture
from ..progress import SILENT, Counter
from ..units import format_size
from .backends import Backend, choose_backend
from .request import Request
from .runner import Outcome, Running
from .slicing import Slicer
from .survey import Family, Survey
from .workers import Answer, Place, WorkerJob, process_name, serve

ROUNDS = 10
"""How many may end with a loss."""
ANSWER_SECONDS = 600.0
"""Without an answer from anybody, after which those who owe one count as lost."""


@contextmanager
def worker_pool(survey: Survey) -> Iterator["WorkerPool | None"]:
    """Give the pool that is asked for; None where the extraction runs in this process."""
    backend = choose_backend(survey.request)
    if backend is None:
        yield None
        return
    with ExitStack() as stack:
        if survey.request["cluster"]:
            stack.enter_context(backend.client)
        claims = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="demijohn-workers-")))
        pool = WorkerPool(survey, backend, claims)
        stack.enter_context(stopping_at_once())
        if survey.request["workers"] is not None and backend.client is None:
            stack.callback(_dismiss)
        yield pool
        pool.tell()


@dataclass(slots=True)
class _Record:
    """What a worker has done."""

    pictures: int = 0
    seconds: float = 0.0
    peak_bytes: int = 0

    @property
    def speed(self) -> float:
        return self.pictures / self.seconds if self.seconds else 0.0


class WorkerPool:
    """Workers that do what a `Runner` does."""

    def __init__(self, survey: Survey, backend: Backend, claims: Path) -> None:
        self._progress = survey.request["progress"]
        request: Request = {
            **survey.request,
            "progress": SILENT,
            "labelling": None,
            "workers": None,
            "cluster": None,
            "backend": None,
        }
        self._backend = backend
        self._common: dict[str, Any] = {
            "pool": uuid.uuid4().hex,
            "store": survey.store.folder,
            "request": request,
            "place": Place(process_name(), backend.threads, backend.gpus, claims),
        }
        self._losses = self._told = 0
        self._records: dict[str, _Record] = {}
        self._unfit: dict[str, str] = {}
        self._said: set[tuple[str, str]] = set()

    def choose_generations(self, families: Sequence[Family]) -> list[int]:
        """Return the generation of each family whose numbers the installation of the workers gives, or the next one."""
        generations: list[int] = self._ask("choose_generations", families)
        return generations

    def open(self, families: Sequence[Family], *, new: bool) -> dict[str, Running]:
        """Have one worker open the feature sets that lack rows; the others find what it compiled and the probe."""
        if not new and not any(family.missing for family in families):
            return {}
        running: dict[str, Running] = self._ask("open", families, new=new)
        return running

    def run(self, pictures: Sequence[Picture], families: Sequence[Family], outcome: Outcome, count: Counter) -> None:
        """Have pictures dealt until none is left, or a worker is lost; the caller plans again."""
        started = time.perf_counter()
        missing = [[frozenset(each.plan.missing) for each in family.views] for family in families]

        def job(start: int, dealt: Sequence[Picture]) -> WorkerJob:
            keys = [picture.expected for picture in dealt]
            thinned = tuple(
                _thinned(family, [[key for key in keys if key in lacking] for lacking in lackings])
                for family, lackings in zip(families, missing, strict=True)
            )
            return WorkerJob(task="run", families=thinned, pictures=tuple(dealt), start=start, **self._common)

        slicer = Slicer(pictures, self._count_workers())
        refusals = []
        try:
            for answer in self._call(job(*dealt) for dealt in slicer.deal()):
                self._pass_on(answer)
                if answer.refusal is None:
                    self._take(answer, slicer, outcome, count)
                else:
                    # What others have in hand is awaited.
                    slicer.close()
                    refusals.append(answer)
        except WorkersLost as error:
            self._lose(str(error))
        for answer in refusals:
            self._leave_out(answer)
        outcome.breakdown.seconds += time.perf_counter() - started

    def compare(self, found: int) -> None:
        """Compare the rows that workers say they have stored since the last time with those that are there.

        Raises
        ------
        WorkersLost
            Nothing of it is there, time and again.
        """
        told, self._told = self._told, 0
        if told and not found:
            self._lose(
                f"workers say that they have stored {told:,} rows, of which {self._common['store']} shows none: "
                "expected a folder that all of them share"
            )

    def tell(self) -> None:
        """Say what each worker has done."""
        for name, record in sorted(self._records.items()):
            memory = f", at most {format_size(record.peak_bytes)} of memory" if record.peak_bytes else ""
            self._progress.say(f"worker {name}: {record.pictures:,} images at {record.speed:,.0f} images/s{memory}")

    def _ask(
        self, task: Literal["choose_generations", "open"], families: Sequence[Family], *, new: bool = False
    ) -> Any:
        """Return what one worker answers; where it must not do it, or dies, another one is asked."""
        # Of a plan it only counts whether anything is missing.
        thinned = tuple(_thinned(family, [each.plan.missing[:1] for each in family.views]) for family in families)
        job = WorkerJob(task=task, families=thinned, new=new, **self._common)
        while True:
            try:
                (answer,) = self._call(iter([job]))
            except WorkersLost as error:
                self._lose(str(error))
                continue
            self._pass_on(answer)
            if answer.refusal is None:
                return answer.value
            self._leave_out(answer)

    def _take(self, answer: Answer, slicer: Slicer, outcome: Outcome, count: Counter) -> None:
        seconds = answer.outcome.breakdown.seconds
        slicer.take_back(answer.start, answer.count, done=answer.value, seconds=seconds)
        record = self._records.setdefault(answer.worker, _Record())
        record.pictures += answer.value
        record.seconds += seconds
        record.peak_bytes = max(record.peak_bytes, answer.peak_bytes)
        # The driver counts wall time, and rows by what is there.
        answer.outcome.breakdown.seconds = 0.0
        self._told += answer.outcome.added.total()
        answer.outcome.added.clear()
        outcome.add(answer.outcome)
        good = answer.outcome.breakdown.pictures
        speeds = ", ".join(f"{name} {each.speed:,.0f}/s" for name, each in sorted(self._records.items()))
        count(extracted=good, skipped=answer.value - good, speeds=speeds)

    def _pass_on(self, answer: Answer) -> None:
        for note in answer.notes:
            if note not in self._said:
                self._said.add(note)
                kind, text = note
                (self._progress.warn if kind == "warn" else self._progress.say)(text)

    def _leave_out(self, answer: Answer) -> None:
        """Go on without a worker that must not work, where others may; else it ends here."""
        assert answer.refusal is not None
        client = self._backend.client
        if answer.worker in self._unfit:
            return
        self._unfit[answer.worker] = str(answer.refusal)
        if client is None or not self._fit():
            raise answer.refusal
        self._progress.warn(f"worker {answer.worker} is left out: {answer.refusal}")

    def _fit(self) -> list[str]:
        """Return the addresses of the workers that may work."""
        there = self._backend.client.scheduler_info(n_workers=-1)["workers"]
        return [address for address in there if address not in self._unfit]

    def _lose(self, what: str) -> None:
        self._losses += 1
        if self._losses >= ROUNDS:
            raise WorkersLost(
                f"workers were lost {self._losses} times, the last one so: {what}; what they stored is kept. Look for "
                "what kills them (often too little memory: fewer --workers, a smaller --batch-size) and run the same "
                "command again"
            )
        self._progress.warn(f"{what}; planning again from what is stored")

    def _config(self) -> dict[str, Any]:
        return self._backend.arguments(self._fit() if self._unfit else ())

    def _count_workers(self) -> int:
        """Return how many jobs are done at once."""
        from joblib import effective_n_jobs, parallel_config

        if self._backend.client is not None:
            self._await_workers()
        with parallel_config(**self._config()):
            count: int = effective_n_jobs(None)
            return count

    def _call(self, jobs: Iterator[WorkerJob]) -> Iterator[Answer]:
        """Give the answers to some jobs as they come.

        Raises
        ------
        WorkersLost
            One died, or none has answered for long.
        """
        from joblib import Parallel, delayed, parallel_config

        workers = self._count_workers()
        try:
            with parallel_config(**self._config()), warnings.catch_warnings():
                # A process that grew is replaced; its job is done.
                warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
                # One job per worker under way: what waits can still be given to whoever is free.
                run = Parallel(
                    return_as="generator_unordered",
                    batch_size=1,
                    pre_dispatch=workers,
                    # A single one is this process.
                    timeout=ANSWER_SECONDS if workers > 1 else None,
                )
                yield from run(delayed(serve)(job) for job in jobs)
        except BrokenExecutor as error:
            raise WorkersLost("a worker was killed, and joblib has ended the others") from error
        except multiprocessing.TimeoutError as error:
            raise WorkersLost(f"no worker has answered for {ANSWER_SECONDS:,.0f} seconds") from error
        except Exception as error:
            if self._backend.client is None or not isinstance(error, _losses_of_dask()):
                raise
            raise WorkersLost(f"a worker was lost ({error})") from error

    def _await_workers(self) -> None:
        client = self._backend.client
        try:
            client.wait_for_workers(1, timeout=60)
        except TimeoutError as error:
            raise ClusterUnreachable(
                f"the cluster at {client.scheduler.address} has no worker: start some with dask worker "
                f"{client.scheduler.address}"
            ) from error


def _dismiss() -> None:
    """End joblib's processes, which would stay for minutes with their memory."""
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True, kill_workers=True)


def _thinned(family: Family, missing: Sequence[Sequence[Key]]) -> Family:
    """Return a family with plans of nothing but what its views lack here."""
    plans = [Plan(tuple(keys), (), (), frozenset()) for keys in missing]
    return replace(
        family, views=tuple(replace(each, plan=plan) for each, plan in zip(family.views, plans, strict=True))
    )


def _losses_of_dask() -> tuple[type[BaseException], ...]:
    from distributed import CancelledError, KilledWorker
    from distributed.comm import CommClosedError

    return KilledWorker, CancelledError, CommClosedError
