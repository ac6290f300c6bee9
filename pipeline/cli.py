"""The commands: each is a thin shell over a function of this package.

Nothing heavy is imported before a command runs, so that `--help` answers at once.
"""

from pathlib import Path
from typing import Any

import click

from .commands import answers, options
from .commands.cache import cache
from .commands.console import print_json, run_command
from .commands.export import export_command
from .commands.fine_tune import fine_tune_command
from .commands.labelling import labelling_options
from .commands.predict import predict_command
from .commands.sections import EXTRACTING, TRAINING, SectionedCommand
from .progress import Progress


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="demijohn")
def demijohn() -> None:
    """Transfer learning on a folder of pictures.

    The frozen backbone runs once, its features are kept, heads are trained and compared in seconds.
    """


@demijohn.command(
    "run",
    short_help="The whole job: extract, train the usual heads, report.",
    cls=SectionedCommand,
    sections={"Heads": ("heads",), **EXTRACTING},
)
@click.argument("images", required=False)
@click.option("--heads", default="logistic,svm,dense", show_default=True, help="Comma-separated.")
@options.featuring
@options.dataset
@options.split_seed
@labelling_options
@options.max_bad
@options.reading
@options.sharing
@options.results
@options.common
def job_command(images: str | None, heads: str, as_json: bool, **arguments: Any) -> None:
    """The whole job: extract, train the usual heads, report.

    IMAGES is a folder with a folder of pictures per class, or with train, validation and test folders of such, or a
    CSV table with the columns path and label; on this machine or by URL, as in s3://bucket/photos.
    """
    from .job import run

    if "list" in arguments["layers"]:
        raise click.UsageError("--layer list goes with extract-features only")
    job = run(images, heads=tuple(name.strip() for name in heads.split(",")), **arguments)
    if as_json:
        print_json(job.to_json())
    else:
        for extraction in job.extractions:
            answers.print_skipped(extraction)
        if job.report is not None:
            answers.print_comparison(job.report)
    for extraction in job.extractions:
        extraction.check()


@demijohn.command(
    "extract-features",
    short_help="Stage one: run the backbone once, keep its features.",
    cls=SectionedCommand,
    sections=EXTRACTING,
)
@click.argument("images", required=False)
@options.featuring
@options.dataset
@options.split_seed
@labelling_options
@options.max_bad
@options.reading
@options.sharing
@click.option("--plan", is_flag=True, help="Only say what would be done, how long it would take and its size.")
@click.option("--explain", is_flag=True, help="Only say in what other features of this backbone differ.")
@click.option(
    "--new", is_flag=True, help="Where this installation gives other numbers than those stored, begin a set of its own."
)
@options.common
def extract_features_command(
    images: str | None, as_json: bool, plan: bool, explain: bool, new: bool, max_bad: float, **arguments: Any
) -> None:
    """Stage one: run the frozen backbone once over all pictures and keep the features.

    IMAGES is a folder or a CSV table, on this machine or by URL, as in s3://bucket/photos. Pictures that have features
    already are not read again. Without IMAGES, the data set that the store knows, else
    ./images or ./data. What is said about labels, groups and splits is kept with the data set, and holds until
    something else is said ('' or 0 takes a pattern, a column or a limit back).
    """
    if "list" in arguments["layers"]:
        from .catalogue import list_taps

        listed = list_taps(**{name: arguments[name] for name in ("backbones", "input_size", "preprocessing")})
        if as_json:
            print_json({"backbones": {name: [layer.to_json() for layer in layers] for name, layers in listed.items()}})
        else:
            answers.print_layers(listed)
        return
    if plan or explain:
        if new or (plan and explain):
            raise click.UsageError("--plan, --explain and --new exclude one another: give one of them")
        from .extraction.outlook import explain_features, plan_features

        told = (plan_features if plan else explain_features)(images, **arguments)
        if as_json:
            print_json(told.to_json())
        else:
            click.echo(str(told))
        return
    from .extraction.extraction import extract_feature_sets

    extractions = extract_feature_sets(images, new=new, max_bad=max_bad, **arguments)
    if as_json and len(extractions) == 1:
        print_json(extractions[0].to_json())
    elif as_json:
        print_json({"feature_sets": [extraction.to_json() for extraction in extractions]})
    else:
        answers.print_extractions(extractions)
    extractions[0].check()


@demijohn.command(
    "train-head", short_help="Stage two: train heads on stored features.", cls=SectionedCommand, sections=TRAINING
)
@click.option("--head", default="logistic", show_default=True, metavar="NAME,...|all", help="See: demijohn heads.")
@options.joined_backbones
@options.chosen_features
@options.dataset
@click.option(
    "--views", type=click.IntRange(1), metavar="COUNT", help="Versions of each training picture. [all that there are]"
)
@click.option("--augment", metavar="flip,crop,...", help="Which views, where the store holds several kinds.")
@click.option(
    "--tta", is_flag=True, help="Judge every picture by the mean over its views; extract with --views-for all."
)
@click.option("--hidden", type=options.widths, metavar="256,128", help="dense: hidden widths, or none. [256]")
@click.option("--dropout", type=options.share, metavar="SHARE", help="dense: share dropped. [0.5]")
@click.option("--batch-norm", is_flag=True, default=None, help="dense: BatchNormalization after each hidden layer.")
@click.option("--l2", type=options.share, metavar="NUMBER", help="dense: penalty on the squares of its weights. [0.0]")
@click.option("--epochs", type=click.IntRange(1), help="dense: at most this many. [100]")
@click.option("--batch-size", type=click.IntRange(1), help="dense: rows per step. [64]")
@click.option("--learning-rate", type=options.positive, metavar="NUMBER", help="dense: of Adam. [0.001]")
@click.option("--patience", type=click.IntRange(1), help="dense: epochs without a better validation loss. [10]")
@click.option("--kernel", type=click.Choice(["linear", "rbf"]), help="svm. [linear]")
@click.option("--c", type=options.positive, metavar="NUMBER", help="logistic, svm: fixes C, otherwise chosen.")
@click.option("--alpha", type=options.positive, metavar="NUMBER", help="ridge: fixes the penalty, otherwise chosen.")
@click.option("--shrinkage", type=click.FloatRange(0, 1), metavar="SHARE", help="lda: fixes it, otherwise chosen.")
@click.option(
    "--neighbours", type=click.IntRange(1), metavar="COUNT", help="knn: fixes their number, otherwise chosen."
)
@click.option("--balanced", is_flag=True, default=None, help="Weigh classes alike, however many pictures they have.")
@click.option(
    "--tune/--no-tune", default=True, show_default=True, help="Choose the strength among a grid, by validation."
)
@click.option(
    "--folds",
    type=click.IntRange(2, 100),
    metavar="COUNT",
    help="Choose by cross-validation in train and validation together. [by the validation split]",
)
@click.option(
    "--refit/--no-refit",
    default=True,
    show_default=True,
    help="Train the head that is put to use on train and validation together.",
)
@click.option(
    "--calibrate", "calibrated", is_flag=True, help="Make honest probabilities of the scores, by temperature."
)
@click.option("--seed", type=options.SEEDS, default=0, show_default=True, help="Of everything random in training.")
@click.option(
    "--seeds",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    metavar="COUNT",
    help="Train with so many seeds, from --seed on: the report tells luck of training from the rest.",
)
@click.option(
    "--memory",
    type=options.memory,
    metavar="SIZE",
    help="What training may take, as 4G: where features would take more than half, they are streamed from disk. "
    "[half of the machine's]",
)
@click.option("--force", is_flag=True, help="Train again what was trained before.")
@options.results
@options.common
def train_head_command(
    head: str,
    as_json: bool,
    **arguments: Any,
) -> None:
    """Stage two: train heads on stored features; the pictures are not needed."""
    from ..models.heads.heads import HEADS
    from .training.training import train_heads

    names = {name for record in HEADS.values() for name in record.settings}
    settings = {name: value for name in names if (value := arguments.pop(name)) is not None}
    runs = train_heads([name.strip() for name in head.split(",")], settings=settings, **arguments)
    if as_json and len(runs) == 1:
        print_json(runs[0].record)
    elif as_json:
        print_json({"runs": [run.record for run in runs]})
    else:
        answers.print_runs([run.record for run in runs])


@demijohn.command("report-heads", short_help="Compare the runs of a data set, write the report.")
@options.comparing
@options.dataset
@options.results
@options.common
def report_heads_command(as_json: bool, **arguments: Any) -> None:
    """Compare the runs of a data set and write the report.

    Runs are judged on the same pictures, the best by validation against the others and against controls. Exit status 1
    where an --assert does not hold.
    """
    from .reporting.reporting import report_heads

    report = report_heads(**arguments)
    if as_json:
        print_json(report.to_json())
    else:
        answers.print_comparison(report)
    report.check()


@demijohn.command("audit", short_help="Look for duplicates, leaks, label errors and shortcuts.")
@options.chosen_backbone
@options.chosen_features
@options.dataset
@click.option("--top", type=click.IntRange(1), default=30, show_default=True, help="Findings of each kind to show.")
@click.option("--seed", type=options.SEEDS, default=0, show_default=True, help="Of folds, forests and intervals.")
@options.results
@options.common
def audit_command(as_json: bool, top: int, **arguments: Any) -> None:
    """What is wrong with the data: duplicates, leaks, label errors, outliers, shortcuts.

    Writes a page with thumbnails to report/<data set>/audit.html in the store. The exit status is 0 whatever is found.
    """
    from .auditing.auditing import audit
    from .commands.audit_text import print_audit

    found = audit(top=top, **arguments)
    if as_json:
        print_json(found.to_json())
    else:
        print_audit(found, top=top)


@demijohn.command("backbones", short_help="List backbones, show one, or what one sees in a picture.")
@click.argument("name", required=False)
@click.option(
    "--sort",
    type=click.Choice(["top-1", "top-5", "mb", "parameters", "depth", "width", "name"]),
    help="Best first; unknown last. [as Keras lists them]",
)
@click.option("--max-mb", type=options.positive, metavar="MB", help="Only those whose weights are no larger.")
@click.option("--here", is_flag=True, help="Only those whose weights are on this machine.")
@click.option("--fetch", is_flag=True, help="Download the weights of NAME now.")
@click.option("--check", type=click.Path(path_type=Path), metavar="IMAGE", help="Print a picture's ImageNet top five.")
@options.weights
@options.common
def backbones_command(
    name: str | None,
    sort: str | None,
    max_mb: float | None,
    here: bool,
    fetch: bool,
    check: Path | None,
    weights: str,
    as_json: bool,
    progress: Progress,
    **_: Any,
) -> None:
    """The catalogue of backbones; all about one; or what one sees in a picture."""
    from .catalogue import describe_backbone, fetch_backbone, list_backbones

    if name is None and (check is not None or fetch):
        raise click.UsageError(f"{'--fetch' if fetch else '--check'} needs the NAME of a backbone")
    if check is not None:
        from .checking import check_backbone

        assert name is not None
        guesses = check_backbone(name, check, weights=weights)
        if as_json:
            print_json({"backbone": name, "image": str(check), "top": [each.to_json() for each in guesses]})
        else:
            answers.print_guesses(guesses)
    elif name is not None:
        facts = fetch_backbone(name, progress=progress) if fetch else describe_backbone(name)
        if as_json:
            print_json(facts)
        else:
            answers.print_facts(facts)
    else:
        catalogue = list_backbones(sort=sort, max_mb=max_mb, here=here)
        if as_json:
            print_json({"backbones": catalogue})
        else:
            answers.print_backbones(catalogue)


@demijohn.command("heads", short_help="List the heads and their settings.")
@options.common
def heads_command(as_json: bool, **_: Any) -> None:
    """The heads and their settings."""
    from ..models.heads.heads import HEADS

    catalogue = [each.to_json() for each in HEADS.values()]
    if as_json:
        print_json({"heads": catalogue})
    else:
        answers.print_heads(catalogue)


demijohn.add_command(cache)
demijohn.add_command(fine_tune_command)
demijohn.add_command(predict_command)
demijohn.add_command(export_command)


def main() -> None:
    """Run `demijohn`."""
    run_command(demijohn, "demijohn")


def main_extract_features() -> None:
    """Run `extract-features`."""
    run_command(extract_features_command, "extract-features")


def main_train_head() -> None:
    """Run `train-head`."""
    run_command(train_head_command, "train-head")


def main_report_heads() -> None:
    """Run `report-heads`."""
    run_command(report_heads_command, "report-heads")
