"""Options of a command that has many, grouped by matter in its help."""

from collections.abc import Mapping, Sequence
from typing import Any

import click


class SectionedCommand(click.Command):
    """A command whose help shows options by matter.

    Parameters
    ----------
    sections : mapping of str to sequence of str
        Names of parameters by the title of their section, in the order in which they are shown; all others come last.
    """

    def __init__(self, *arguments: Any, sections: Mapping[str, Sequence[str]], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.sections = sections

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, a list per section."""
        options = (param for param in self.get_params(ctx) if isinstance(param, click.Option))
        told = {option.name: record for option in options if (record := option.get_help_record(ctx))}
        for title, names in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([told.pop(name) for name in names])
        with formatter.section("More"):
            formatter.write_dl(list(told.values()))


EXTRACTING: Mapping[str, Sequence[str]] = {
    "The network": ("backbones", "weights", "layers", "pooling", "precision", "preprocessing", "input_size"),
    "Labels and splits": (
        "label_level",
        "label_pattern",
        "shares",
        "group",
        "group_pattern",
        "limit",
        "dataset",
        "seed",
    ),
    "Reading pictures": ("resize", "truncated", "max_pixels", "max_bad", "retry"),
    "Augmented views": ("views", "augment", "views_for"),
    "Computing": ("engine", "batch_size", "device", "workers", "cluster"),
}
TRAINING: Mapping[str, Sequence[str]] = {
    "What is learned from": ("backbone", "features", "dataset", "views", "augment", "tta"),
    "The head": ("head", "balanced", "c", "alpha", "shrinkage", "kernel", "neighbours"),
    "The dense head": ("hidden", "dropout", "batch_norm", "l2", "epochs", "batch_size", "learning_rate", "patience"),
    "Choosing and judging": ("tune", "folds", "refit", "calibrated", "seed", "seeds"),
}
