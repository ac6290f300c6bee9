"""The terminal: messages and progress on stderr, answers on stdout, errors as exit statuses.

0 done · 1 an expected error, in one line · 2 usage · 3 unexpected, with traceback · 130 interrupted
"""

import io
import json
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from ..progress import Counter, Silent
from .small_keras import keep_keras_small


class Terminal:
    """Tells on stderr what a stage is doing; the progress bar only where a person is watching."""

    def __init__(self) -> None:
        from rich.console import Console

        # Long lines are left to the terminal, so that paths and commands can be copied.
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Print one line."""
        self._console.print(text, markup=False)

    def warn(self, text: str) -> None:
        """Print one line that stands out."""
        self._console.print(f"note: {text}", markup=False, style="yellow")

    @contextmanager
    def count(self, total: int, *, cached: int) -> Iterator[Counter]:
        """Show a bar with rate, remaining time, cached and skipped counts."""
        if not self._console.is_terminal:
            with Silent().count(total, cached=cached) as counter:
                yield counter
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[counts]}"),
        )
        with Progress(*columns, console=self._console, transient=True) as bar:
            task = bar.add_task("extract", total=total, rate="", counts=f"{cached:,} cached")
            skipped_so_far = 0

            def counter_on_bar(*, extracted: int = 0, skipped: int = 0, speeds: str = "") -> None:
                nonlocal skipped_so_far
                skipped_so_far += skipped
                bar.update(
                    task,
                    advance=extracted + skipped,
                    rate=f"{bar.tasks[0].speed or 0:,.0f} images/s",
                    counts="; ".join(filter(None, [f"{cached:,} cached, {skipped_so_far:,} skipped", speeds])),
                )

            yield counter_on_bar


def print_json(value: dict[str, Any]) -> None:
    """Print the one JSON object of a command on stdout; NaN is refused."""
    click.echo(json.dumps(value, indent=2, allow_nan=False))


def run_command(command: click.Command, name: str) -> None:
    """Run a click command and leave the process with the exit status of the outcome."""
    sys.exit(_run(command, name))


def _run(command: click.Command, name: str) -> int:
    keep_keras_small()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # File names may hold bytes that are no text.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        command.context_settings.setdefault("help_option_names", ["-h", "--help"])
        command.main(prog_name=name, standalone_mode=False)
        sys.stdout.flush()
        status = 0
    except click.exceptions.Exit as error:
        status = error.exit_code
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; what was finished is stored, the same command continues", err=True)
        status = 130
    except BrokenPipeError:
        # Whoever read the answer has gone; the interpreter must not try to flush it once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except Exception as error:  # noqa: BLE001 - the last resort: told with its traceback
        if _is_expected(error):
            click.echo(f"error: {_message(error)}", err=True)
            status = 1
        else:
            traceback.print_exc()
            status = 3
    return status


def _message(error: Exception) -> str:
    """Return one line; the operating system's own errors say only what and where."""
    if type(error).__module__ == "builtins" and isinstance(error, OSError):
        return f"cannot use {error.filename}: {error.strerror}"
    return " ".join(str(error).split())


def _is_expected(error: Exception) -> bool:
    # Imported here, since these packages load HDF5, which `--help` has no need of.
    from ...cache.errors import CacheError
    from ...models.errors import ModelError
    from ..errors import PipelineError

    return isinstance(error, CacheError | ModelError | PipelineError) or (
        # Something of the user's that cannot be read or written; the message names the file.
        isinstance(error, OSError) and error.filename is not None
    )
