"""`demijohn fine-tune`: a thin shell over `fine_tune`."""

from typing import Any

import click

from . import answers, options
from .console import print_json


@click.command("fine-tune", short_help="Stage three: train the last layers as well.")
@click.option("--run", default="best", show_default=True, metavar="ID|best", help="The run whose head it starts from.")
@click.option(
    "--unfreeze",
    metavar="30|BLOCK|all|0",
    help="Layers to train: so many of the last, a block and all after it, all, or none but the head. [30]",
)
@click.option(
    "--augment",
    metavar="flip,zoom,...",
    help="Other pictures in each epoch: some of flip, rotation, zoom, shift, brightness, contrast; standard is all. "
    "[none]",
)
@click.option("--train-batch-norm", is_flag=True, default=None, help="Train batch normalisations as well.")
@click.option("--epochs", type=click.IntRange(1), help="At most this many. [10]")
@click.option("--batch-size", type=click.IntRange(1), help="Pictures per step. [32]")
@click.option(
    "--learning-rate", type=options.positive, metavar="NUMBER", help="Of the unfrozen layers, at its highest. [0.00003]"
)
@click.option(
    "--head-learning-rate", type=options.positive, metavar="NUMBER", help="Of the head, at its highest. [0.0001]"
)
@click.option("--weight-decay", type=options.share, metavar="NUMBER", help="[0.01]")
@click.option("--clip", type=options.positive, metavar="NUMBER", help="Greatest norm of the gradients. [1]")
@click.option("--patience", type=click.IntRange(1), help="Epochs without a better validation loss. [3]")
@click.option("--seed", type=options.SEEDS, default=0, show_default=True, help="Of everything random in training.")
@click.option("--force", is_flag=True, help="Fine-tune again, from the start.")
@options.dataset
@options.results
@options.common
def fine_tune_command(
    run: str,
    seed: int,
    force: bool,
    dataset: str | None,
    store: str,
    results: str | None,
    as_json: bool,
    progress: Any,
    **settings: Any,
) -> None:
    """Stage three: train the last layers of the network as well, from a trained head on.

    Where --augment asks for nothing, what lies in front of the unfrozen layers is computed once and kept. After a
    kill, the same command goes on after the last finished epoch. The answer says what was gained over the run that it
    started from, and whether that is more than luck.
    """
    from ..finetuning.finetuning import fine_tune
    from ..runs.tuning import Tuning

    tuning = Tuning(**{name: value for name, value in settings.items() if value is not None})
    tuned = fine_tune(
        run, tuning=tuning, store=store, results=results, dataset=dataset, seed=seed, force=force, progress=progress
    )
    if as_json:
        print_json(tuned.record)
    else:
        answers.print_runs([tuned.record])
        if tuned.record["worth"]:
            click.echo(tuned.record["worth"]["sentence"])
