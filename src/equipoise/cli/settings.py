"""The flags, grouped as people think of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter, Token

__all__ = [
    "ENGINE",
    "EVALUATION",
    "FOLDER",
    "TRAINING",
    "Backbone",
    "Continuing",
    "Data",
    "Embedding",
    "Evaluation",
    "Framed",
    "General",
    "Looking",
    "Machine",
    "Measured",
    "Names",
    "Network",
    "Networks",
    "Passing",
    "Planted",
    "Predicted",
    "Reading",
    "Splitting",
    "Test",
    "Training",
    "WordVectors",
    "Words",
    "names_given",
]


def names_given(_type: Any, tokens: Sequence[Token]) -> tuple[str, ...]:
    """Names given as "race,gender", as "race gender", or one a flag; "" is none at all."""
    parts = (part.strip() for token in tokens for part in token.value.split(","))
    return tuple(dict.fromkeys(part for part in parts if part))


def words_given(_type: Any, tokens: Sequence[Token]) -> tuple[str, ...]:
    """Words as they were given, "red,a dark room" or one a flag: what stands twice, or is empty, is told later."""
    return tuple(part.strip() for token in tokens for part in token.value.split(","))


Names = Annotated[
    tuple[str, ...],
    Parameter(converter=names_given, negative=(), consume_multiple=True, metavar="NAMES", show_default=False),
]

DATA = Group.create_ordered("Data")
TEST = Group.create_ordered("Test data")
MODEL = Group.create_ordered("Model")
PREDICTIONS = Group.create_ordered("Predictions")
READING = Group.create_ordered("Reading")
EVALUATION = Group.create_ordered("Evaluation")
TRAINING = Group.create_ordered("Training")
WORDS = Group.create_ordered("Words")
ENGINE = Group.create_ordered("Machine")
FOLDER = Group.create_ordered("Folder")
GENERAL = Group.create_ordered("General")


@Parameter(name="*", group=DATA)
@dataclass(frozen=True)
class Data:
    """What to work on."""

    positives: str | None = None
    """Images of the class to be found (faces): a folder, a CSV or Parquet file, or a known data set's folder."""
    negatives: str | None = None
    """Images without it."""
    data: str | None = None
    """One source that holds both, with labels, in place of the two."""


@Parameter(name="*", group=DATA)
@dataclass(frozen=True)
class Planted:
    """What to work on when nothing was given."""

    images: int = 20000
    """Images of the embedded set, which is drawn when no data are given."""


@Parameter(name="*", group=TEST)
@dataclass(frozen=True)
class Test:
    """What to test on."""

    test_positives: str | None = None
    """Test images of the class; without test data a share of the data is held out."""
    test_negatives: str | None = None
    """Test images without it."""
    test_data: str | None = None
    """One test source that holds both."""
    test_share: float = 0.2
    """Share held out for testing when no test data are given."""
    validation_share: float = 0.0
    """Share of the data held out for validation curves; no choice is made on it, but for a second stage."""


@Parameter(name="*", group=READING)
@dataclass(frozen=True)
class Framed:
    """How pictures become what a network takes."""

    image_size: int = 64
    """Pixels a side that the middle square of each image is resized to, any number that the network takes. The standard
    CNN needs a multiple of 16 (2^depth), the embedded set 16 to 512. A saved model takes its own size."""
    resize: str | None = None
    """Filter by which images are resized: bilinear, bicubic, lanczos or nearest; lanczos if not given. Take your
    network's."""
    crop: float | None = None
    """Resize the shorter side further than needed and crop the middle: the share that is left, as 0.875, or the pixels
    that it is resized to, as 256. If not given, the largest middle square is taken."""
    squash: Annotated[bool | None, Parameter(negative=(), show_default=False)] = None
    """Resize both sides, whatever the shape, and crop nothing."""
    channels: int = 3
    """3 for colour, 1 for grey."""


@Parameter(name="*", group=READING)
@dataclass(frozen=True)
class Reading(Framed):
    """How sources are read."""

    format: str | None = None
    """folder, manifest, parquet, arrow, shards, lab-hdf5, lab-faces, celeba, fairface, utkface or ppb; found out if not
    given."""
    label_column: str | None = None
    """Column of a table that holds the labels."""
    positive_class: str | None = None
    """Value of the label column that is the class to be found; all others are negatives."""
    path_column: str | None = None
    """Column of a manifest that holds the paths."""
    channel_order: str | None = None
    """rgb or bgr, for HDF5 files that do not say."""
    max_rejected: float = 0.01
    """Largest share of pictures that may be unreadable; they are listed in rejected.csv and skipped."""
    allow_outside: Annotated[bool, Parameter(negative=(), show_default=False)] = False
    """Let paths in tables, and links, lead out of the folder that holds them."""
    cache: str | None = None
    """Folder for decoded images; if not given $EQUIPOISE_CACHE, else the user's cache folder (`equipoise data
    --clear-cache` empties it)."""
    cache_limit: str | None = None
    """What images may take of the disk, as 10GB or a share of what is free, as 0.25; a tenth of it if not given. Above
    it they stay encoded and are decoded when they are needed."""
    workers: int | None = None
    """Threads that decode; one a processor if not given."""
    slices: str | None = None
    """Parquet table of slices that an audit found, joined by path as the column slice; --groups slices.parquet takes it
    and compares by it."""


@Parameter(name="*", group=READING)
@dataclass(frozen=True)
class Splitting(Reading):
    """How sources are read, and on which side of the split each image is."""

    split_column: str | None = None
    """Column with the official split: train, validation (or val, dev) and test, or 0, 1 and 2; no share is held out."""
    together: str | None = None
    """Column, such as a subject, whose equal values stay on one side of the split."""


@Parameter(name="*", group=READING)
@dataclass(frozen=True)
class Looking(Reading):
    """How sources are read to be looked at: unreadable pictures stop nothing."""

    max_rejected: float = 1.0
    """Largest share of pictures that may be unreadable."""


@Parameter(name="*", group=EVALUATION)
@dataclass(frozen=True)
class Evaluation:
    """What is measured."""

    groups: Names = ()
    """Columns whose values are the groups to compare, as in race,gender; or a table of slices, RUN/slices.parquet."""
    fpr: float = 0.01
    """False-positive rate at which models are compared."""
    replicates: int = 2000
    """Bootstrap replicates behind the intervals."""


@Parameter(name="*", group=EVALUATION)
@dataclass(frozen=True)
class Measured(Evaluation):
    """What is measured of saved models."""

    threshold: float = 0.5
    """Probability from which on a picture is called positive; the second operating point beside --fpr."""
    windows: Annotated[bool, Parameter(negative=(), show_default=False)] = False
    """Score each picture by its windows, in its own shape: the highest probability of any square of half to all of its
    shorter side (the protocol of PPB)."""


@Parameter(name="*", group=PREDICTIONS)
@dataclass(frozen=True)
class Predicted:
    """Tables of what models predicted, in place of the models and the pictures."""

    predictions: Annotated[tuple[Path, ...], Parameter(negative=(), consume_multiple=True)] = ()
    """Tables, one a model, of the same images in the same order: CSV, TSV, JSON lines or Parquet with a column of
    labels (--label-column), columns of groups, and a score, a predicted class, or a column of probabilities a class,
    called as the classes are."""
    score_column: str | None = None
    """Column with the probability of --positive-class; one called score or probability is found."""
    predicted_column: str | None = None
    """Column with the predicted class; one called predicted or prediction is found."""
    logits: Annotated[bool, Parameter(negative=(), show_default=False)] = False
    """Scores are logits, not probabilities."""


@Parameter(name="*", group=TRAINING)
@dataclass(frozen=True)
class Training:
    """How models are trained; what is not given is the recipe's."""

    recipe: str | None = None
    """A recipe's name; `equipoise recipes` lists them. If not given equipoise, or probe with --backbone."""
    epochs: int | None = None
    """Epochs of every model."""
    batch_size: int | None = None
    """Images a step, half of them positives; of more than two classes equal shares of each."""
    ess: float | None = None
    """Target effective sample size of the weights, in (0, 1]; smaller debiases more. Batches that hold much of a class
    draw nearer to uniform: the report says what was drawn."""
    max_weight: float | None = None
    """Most times its natural share that an image may be drawn."""
    vae_classes: Names = ()
    """Classes, by name, whose images the DB-VAE of a recipe learns to rebuild. If left out: of two classes the
    positives, of more all."""
    tune: Annotated[tuple[str, ...], Parameter(negative=(), metavar="KEY=VALUE", show_default=False)] = ()
    """Any other setting of the recipe, as in resampling.bins=20 or debiased.learning_rate=1e-3; repeatable."""
    seed: int = 0
    """Decides everything that is left to chance."""


@Parameter(name="*", group=TRAINING)
@dataclass(frozen=True)
class Encoder:
    """What is trained in place of the standard CNN."""

    encoder: str | None = None
    """A network from images to feature vectors, package.module:callable, in place of the standard CNN."""


@Parameter(name="*", group=MODEL)
@dataclass(frozen=True)
class TrainedEncoder:
    """What a saved model needs that equipoise did not build."""

    encoder: str | None = None
    """What the model was trained with in place of the standard CNN, if it was: the same package.module:callable."""


@Parameter(name="*", group=MODEL)
@dataclass(frozen=True)
class Network:
    """A model that equipoise did not train."""

    weights: Path | None = None
    """Weights for the network in place of its own: a safetensors file, or one of torch.save."""
    layer: str | None = None
    """Module whose output are the features; what goes into the last layer if not given."""
    output: str | None = None
    """Key, attribute or number of the logits in what the network returns."""
    mean: Names = ()
    """Subtracted from pixels in [0, 1], channel by channel, as in 0.485,0.456,0.406."""
    std: Names = ()
    """What they are then divided by."""
    transform: str | None = None
    """Your own transform of pictures, package.module:callable, in place of --resize, --crop, --mean, --std: a picture
    of Pillow's to another, or to an array or tensor (channels, height, width), which the network then sees."""


@Parameter(name="*", group=MODEL)
@dataclass(frozen=True)
class Networks(Network):
    """Models that equipoise did not train."""

    weights: Annotated[tuple[Path, ...], Parameter(negative=(), consume_multiple=True)] = ()  # type: ignore[assignment]
    """Weights in place of a network's own, safetensors or of torch.save: a file a network, in their order."""


@Parameter(name="*", group=TRAINING)
@dataclass(frozen=True)
class Backbone(Network):
    """The pretrained network of recipes probe and fine-tune."""

    backbone: str | None = None
    """timm:NAME, hf:NAME_OR_FOLDER, onnx:FILE, package.module:callable or a run's folder. It says how its pictures must
    come; of a callable they are read as said under Reading."""


@Parameter(name="*", group=WORDS)
@dataclass(frozen=True)
class Words:
    """What hidden groups may be called, by words of yours."""

    words: Annotated[
        tuple[str, ...],
        Parameter(
            converter=words_given, negative=(), consume_multiple=True, metavar="WORDS", show_default=False
        ),
    ] = ()
    """Words that pictures may show, as water,"a dark room"; or a text file ending in .txt, one a line. Those that
    pictures of a hidden group are nearer to than the rest of their class are told, tested."""
    text_encoder: str | None = None
    """hf:NAME_OR_FOLDER of a model that knows pictures and texts (CLIP and its like), by which they are compared."""


@Parameter(name="*", group=WORDS)
@dataclass(frozen=True)
class WordVectors(Words):
    """The same where vectors of pictures are given."""

    word_vectors: Path | None = None
    """Vectors of the words, in their order, by the model that gave --vectors, in place of --text-encoder: .npy, or
    Parquet with a column of lists."""


@Parameter(name="*", group=TRAINING)
@dataclass(frozen=True)
class Embedding:
    """What rarity is measured in, if not as the recipe says."""

    embedding: str | None = None
    """A network from images to vectors: timm:NAME, hf:NAME_OR_FOLDER, onnx:FILE, package.module:callable or a run's
    folder; what is rare among them is drawn more often."""
    embedding_column: str | None = None
    """Column of the data that holds such vectors, in place of a network."""


@Parameter(name="*", group=ENGINE)
@dataclass(frozen=True)
class Machine:
    """Where models are trained."""

    device: str = "auto"
    """auto, cpu, cuda or mps."""
    precision: str = "auto"
    """auto (bf16-mixed where the processor has it, else 32-true), 32-true, bf16-mixed, 16-mixed or 64-true."""
    processes: int = 1
    """Training processes; each takes its share of every batch, and of the pictures that a backbone sees."""
    compile: Annotated[bool, Parameter(negative=(), show_default=False)] = False
    """Compile the networks; pays off in long runs. On a CUDA device classifiers are recorded as a graph instead."""
    tensorboard: Annotated[bool, Parameter(negative=(), show_default=False)] = False
    """Write TensorBoard events beside the checkpoints."""


@Parameter(name="*", group=ENGINE)
@dataclass(frozen=True)
class Passing:
    """Where one pass of a network over pictures is made."""

    device: str = "auto"
    """auto, cpu, cuda or mps."""
    on: str | None = None
    """Make the pass over the images on a Ray cluster: ray starts one on this machine, ray://auto takes the one that it
    is part of, ray://HOST:PORT the one with that head. Needs the extra ray; an interrupted pass is gone on with. For
    audit and fix also onnx: by onnxruntime on this CPU, often several times as fast; needs the extra onnx."""


@Parameter(name="*", group=FOLDER)
@dataclass(frozen=True)
class Continuing:
    """What to do with what lies in the folder already."""

    resume: Annotated[bool, Parameter(negative=(), show_default=False)] = False
    """Continue an interrupted run; it ends with the numbers of a run that was not interrupted."""
    overwrite: Annotated[bool, Parameter(negative=(), show_default=False)] = False
    """Replace the run that lies in the folder."""


@Parameter(name="*", group=GENERAL)
@dataclass(frozen=True)
class General:
    """Of every command."""

    config: Annotated[Path | None, Parameter(metavar="FILE.toml")] = None
    """Settings file, for example the settings.toml of an earlier run; flags win over it."""
    quiet: Annotated[bool, Parameter(negative=(), show_default=False)] = False
    """Print results and errors only."""
    debug: Annotated[bool, Parameter(negative=(), show_default=False)] = False
    """Show the traceback of an error."""
