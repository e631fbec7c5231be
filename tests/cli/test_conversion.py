"""Flags and the objects that they become: the same names, the same defaults, nothing left over."""

from dataclasses import fields

import pytest

from equipoise import risk, run
from equipoise.cli import audit, augment, find, settings, train_generator
from equipoise.cli.conversion import engine_of, measuring_of, output_of, sources_of, training_of
from equipoise.errors import InputError
from equipoise.train import GAN


def defaults(*kinds):
    """Name → default of every field; lists of flags are tuples everywhere."""
    return {one.name: one.default for kind in kinds for one in fields(kind)}


@pytest.mark.parametrize(
    ("flags", "kind", "elsewhere"),
    [
        ([settings.Splitting], run.Reading, ("transform",)),
        ([settings.Data, settings.Test, settings.Planted], run.Sources, ()),
        ([settings.Machine], run.Engine, ("progress", "on")),
        ([settings.Measured], run.Measuring, ("controls",)),
        ([settings.Evaluation], run.Measuring, ("controls", "threshold", "windows")),
        ([settings.Encoder, settings.Embedding], run.Training, ("recipe", "seed", "backbone")),
        ([settings.Backbone], run.Network, ("model", "encoder", "backbone")),
        ([settings.Continuing], run.Output, ("out", "tell", "command")),
        ([audit.Network, settings.TrainedEncoder], run.Network, ("model",)),
        ([audit.Scoring], run.Scoring, ("thresholds", "naming")),
        ([settings.Words], run.Naming, ("word_vectors",)),
        ([settings.WordVectors], run.Naming, ()),
        ([find.Search], run.Finding, ("naming",)),
        ([find.Table], run.PredictionTables, ("paths", "slices")),
        ([audit.Lines], risk.Thresholds, ()),
        ([augment.Pairing], run.Augmentation, ("generator", "show_edits")),
        ([train_generator.Generating], GAN, ()),
    ],
)
def test_flags_have_the_names_and_defaults_of_what_they_become(flags, kind, elsewhere):
    wanted = {name: value for name, value in defaults(kind).items() if name not in elsewhere}
    assert {name: one for name, one in defaults(*flags).items() if name not in elsewhere} == wanted


def test_a_pass_has_some_flags_of_the_machine():
    assert set(defaults(settings.Passing)) == {"device", "on"}
    assert defaults(settings.Passing).items() <= defaults(run.Engine).items()


def test_all_flags_of_a_job_arrive():
    machine = settings.Machine(device="cpu", processes=2, compile=True)
    engine = engine_of(machine, settings.General(quiet=True))
    assert engine == run.Engine(device="cpu", processes=2, compile=True, progress=False)
    assert engine_of("cpu", settings.General()) == run.Engine(device="cpu")
    trained = training_of(
        settings.Training(recipe="mit-2021", epochs=3, seed=4),
        settings.Encoder("a:b"),
        settings.Embedding("c:d"),
    )
    assert (trained.seed, trained.encoder, trained.embedding) == (4, "a:b", "c:d")
    assert (trained.recipe.name, trained.recipe.plain.epochs, trained.recipe.debiased.epochs) == (
        "mit-2021",
        3,
        3,
    )
    asked = measuring_of(settings.Evaluation(("a",), 0.1, 50), controls=False)
    assert asked == run.Measuring(("a",), 0.1, 50, controls=False)
    where = output_of("x", settings.General(), settings.Continuing(resume=True))
    assert (where.out, where.resume, where.overwrite) == ("x", True, False)


def test_a_source_stands_alone_or_behind_a_flag():
    assert sources_of(settings.Data(), source="a") == run.Sources(data="a")
    with pytest.raises(InputError, match="Expected one source"):
        sources_of(settings.Data(data="b"), source="a")


def test_quiet_tells_nobody(capsys):
    output_of("x", settings.General(quiet=True)).say("a line")
    assert capsys.readouterr().err == ""
    output_of("x", settings.General()).say("a line of `out`")
    assert capsys.readouterr().err == "a line of `out`\n"  # no command runs
