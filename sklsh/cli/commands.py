"""Commands of the ``sklsh`` script; needs typer and rich.

What commands do is in other modules, which are loaded when a command runs: help and version are
there at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import sklsh
from sklsh.cli.federated import app as federated_app
from sklsh.cli.groups import Group

app = typer.Typer(
    name="sklsh",
    cls=Group,
    help="Large-output learning on small machines.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(federated_app)


def say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"sklsh {sklsh.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version", callback=say_version, is_eager=True),
    ] = False,
) -> None:
    """Large-output learning on small machines."""


Data = Annotated[
    Path,
    typer.Argument(
        help="XC text file (.gz, .bz2), or folder with X_train.npz, Y_train.npz ... or train.txt",
        show_default=False,
    ),
]
TextColumn = Annotated[
    str | None, typer.Option(help="Column of texts, of a table", show_default=False)
]
LabelColumn = Annotated[
    str | None, typer.Option("--labels", help="Column of label names", show_default=False)
]
ModelFolder = Annotated[Path, typer.Argument(help="Model folder", show_default=False)]
Subset = Annotated[str, typer.Option(help="Which set of a data folder: train or test")]
EventUser = Annotated[str, typer.Option(help="Column of users, of a table")]
EventItem = Annotated[str, typer.Option(help="Column of items")]
EventTime = Annotated[
    str | None, typer.Option(help="Column of times: numbers or dates", show_default=False)
]
EventWeight = Annotated[
    str | None, typer.Option(help="Column of what an event counts", show_default=False)
]
HalfLife = Annotated[
    float | None,
    typer.Option(help="An event counts half after so long: days, or as times that are numbers"),
]
Seed = Annotated[int, typer.Option("--random-state", help="Seed")]


@app.command("warm-up")
def warm_up(
    kinds: Annotated[
        list[str] | None,
        typer.Argument(help="classifier, recommender, hasher; all of them if none is named"),
    ] = None,
) -> None:
    """Compile ahead what a first fit needs, so that nobody waits for it."""
    from sklsh.cli import classifiers

    classifiers.warm_up(kinds)


@app.command()
def demo(random_state: Seed = 0) -> None:
    """Train on the bundled WordNet subset and compare with two simple methods."""
    from sklsh.cli import classifiers

    classifiers.demo(random_state)


@app.command()
def train(
    data: Data,
    model_dir: Annotated[
        Path | None, typer.Argument(help="Model folder; DATA.model for texts", show_default=False)
    ] = None,
    text: TextColumn = None,
    labels: LabelColumn = None,
    separator: Annotated[str, typer.Option(help="Between the labels of a field")] = ",",
    effort: Annotated[
        str, typer.Option(help="best, or fast: half of the time for up to a point of P@1")
    ] = "best",
    hidden: Annotated[
        list[int] | None, typer.Option(help="Width of a hidden layer; again for more layers")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the rows")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows of a step")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Initial rate")] = None,
    dropout: Annotated[float | None, typer.Option(help="Of the last hidden layer")] = None,
    sampler: Annotated[str, typer.Option(help="Who is active beside a batch's labels")] = "auto",
    n_active: Annotated[int | None, typer.Option(help="Neurons that it proposes")] = None,
    neighbors: Annotated[
        int | None, typer.Option(help="Nearest training rows that count at prediction; 0: none")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder to resume from after a kill; the same options again")
    ] = None,
    subset: Subset = "train",
    random_state: Seed = 0,
    jobs: Annotated[int | None, typer.Option(help="Threads; all cores if not said")] = None,
) -> None:
    """Train on DATA and write the model to MODEL_DIR. Options not given are automatic.

    With --text and --labels DATA is a table (CSV, TSV, JSON lines, each also .gz; parquet): texts
    in one column, names of labels in the other.
    """
    from sklsh.cli import classifiers

    classifiers.train(
        data,
        model_dir,
        text,
        labels,
        separator,
        effort,
        hidden,
        epochs,
        batch_size,
        learning_rate,
        dropout,
        sampler,
        n_active,
        neighbors,
        checkpoint,
        subset,
        random_state,
        jobs,
    )


@app.command()
def evaluate(
    model_dir: ModelFolder,
    data: Data,
    text: TextColumn = None,
    labels: LabelColumn = None,
    subset: Subset = "test",
    a: Annotated[float, typer.Option("--propensity-a", help="A of label propensities")] = 0.55,
    b: Annotated[float, typer.Option("--propensity-b", help="B of label propensities")] = 1.5,
) -> None:
    """Precision, nDCG and propensity-scored precision of a model at 1, 3 and 5."""
    from sklsh.cli import classifiers

    classifiers.evaluate(model_dir, data, text, labels, subset, a, b)


@app.command()
def predict(
    model_dir: ModelFolder,
    data: Data,
    text: TextColumn = None,
    k: Annotated[int, typer.Option("-k", help="Labels a row")] = 5,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Text file (.gz), or .npz; standard output if none"),
    ] = None,
    subset: Subset = "test",
) -> None:
    """Write the best labels of each row, best first, as lines of label:score.

    The first line of the text is "n_samples n_labels", as in the XC repository's score
    files. With .npz: arrays `labels` and `scores` (n_samples, k), padded with -1 and -inf. Of a
    model of texts a line is {"labels": [...], "scores": [...]} in JSON, and DATA a table.
    """
    from sklsh.cli import classifiers

    classifiers.predict(model_dir, data, text, k, output, subset)


@app.command()
def recommend(
    data: Annotated[
        Path,
        typer.Argument(
            help="Table of events (CSV, TSV, JSON lines, parquet), or users x items as .npz",
            show_default=False,
        ),
    ],
    model_dir: Annotated[
        Path | None,
        typer.Option("--model", help="Folder of a model to use, or to write if there is none"),
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="The same users' later items: prints recall and nDCG")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Items a user")] = 20,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="CSV, TSV, JSON lines or parquet; text or .npz of .npz"
        ),
    ] = None,
    user: EventUser = "user",
    item: EventItem = "item",
    time: EventTime = None,
    weight: EventWeight = None,
    half_life: HalfLife = None,
    learn: Annotated[
        bool, typer.Option("--learn", help="Learn the events, and write the model anew")
    ] = False,
    random_state: Seed = 0,
    jobs: Annotated[int | None, typer.Option(help="Threads; all cores if not said")] = None,
) -> None:
    """The best new items of each user of DATA: train on it, or use the model there is.

    Without --output and --test items are written to standard output: of a table as CSV of user,
    item, rank and score, of a matrix as by `predict`.
    """
    from sklsh.cli import recommenders
    from sklsh.cli.event_tables import Columns

    recommenders.recommend(
        data, model_dir, test, k, output, random_state, jobs, Columns(user, item, time, weight),
        half_life, learn,
    )  # fmt: skip


@app.command()
def explain(
    data: Annotated[
        Path,
        typer.Argument(
            help="Users' events as a table, or users x items as .npz", show_default=False
        ),
    ],
    model_dir: Annotated[
        Path, typer.Option("--model", help="Folder of a recommender", show_default=False)
    ],
    of: Annotated[
        list[str] | None,
        typer.Option(help="A user, by name or row number; may be repeated. None: all of DATA"),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Items a user")] = 5,
    reasons: Annotated[int, typer.Option(help="Of the user's items, for each")] = 3,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="CSV, TSV, JSON lines or parquet", show_default=False),
    ] = None,
    user: EventUser = "user",
    item: EventItem = "item",
    time: EventTime = None,
    weight: EventWeight = None,
    half_life: HalfLife = None,
) -> None:
    """Why these: which of a user's items speak for each of the best new ones, and by how much.

    A row for each user, item and reason: user, item, rank, score, because, contribution (what the
    score would lose without that item). Without --output CSV on standard output.
    """
    from sklsh.cli import reasons as reasons_of
    from sklsh.cli.event_tables import Columns

    reasons_of.explain(
        data, model_dir, of or [], k, reasons, output, Columns(user, item, time, weight), half_life
    )


@app.command()
def compress(
    model_dir: ModelFolder,
    output: Annotated[Path, typer.Argument(help="Folder of the small model", show_default=False)],
    bytes_per_label: Annotated[int, typer.Option(help="Of a neuron's code")] = 128,
    body: Annotated[str, typer.Option(help="First layer: codes, int8 or float16")] = "codes",
    neighbors: Annotated[bool, typer.Option(help="Keep the training rows for k-NN scores")] = True,
    linear: Annotated[bool, typer.Option(help="Keep the large weights of the linear view")] = True,
) -> None:
    """Write a model an eighth of the size that predicts nearly the same as MODEL_DIR."""
    from sklsh.cli import classifiers

    classifiers.compress(model_dir, output, bytes_per_label, body, neighbors, linear)


@app.command()
def info(
    path: Annotated[Path, typer.Argument(help="Model folder or data", show_default=False)],
) -> None:
    """What a model folder or a data set holds. Runs nothing of a model."""
    from sklsh.cli import classifiers

    classifiers.info(path)
