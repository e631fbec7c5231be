"""From what is named to what is trained on, and every message when that does not work out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from equipoise.cli import main
from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.pictures.framing import Framing
from equipoise.run.sources import Reading, Sources, check_attributes, told


def table(n, seed=0, **columns):
    images = np.random.default_rng(seed).integers(0, 256, (n, 16, 16, 3), dtype=np.uint8)
    return ImageTable.from_arrays(images, np.arange(n) % 2, columns or None)


def parts(train, test=None, *, first=False, column=None, together=None, **shares):
    reading = Reading(image_size=16, split_column=column, together=together)
    return Sources(data=train, test_data=test, **shares).split(reading, seed=0, first=first)


def test_a_share_is_held_out():
    split = parts(table(100), validation_share=0.1)
    assert [len(side) for side in split] == [70, 10, 20]


def test_test_data_are_used_whole_and_training_data_too():
    split = parts(table(60), table(40, seed=1))
    assert [len(side) for side in split] == [60, 0, 40]


def test_the_first_of_each_class_train_and_the_last_test():
    whole = table(20)
    split = parts(whole, first=True)
    assert split.train.fingerprint == whole.take(np.arange(16)).fingerprint
    assert split.test.fingerprint == whole.take(np.arange(16, 20)).fingerprint


def test_test_images_that_were_trained_on_are_refused():
    with pytest.raises(InputError, match="40 of 40 stand in the training data"):
        parts(table(60), table(60).take(np.arange(40)))


def test_images_of_another_size():
    other = ImageTable.from_arrays(np.zeros((2, 8, 8, 3), np.uint8), [0, 1])
    with pytest.raises(InputError, match="one size"):
        parts(table(10), other)


def official(n=60):
    return table(
        n, part=[("train", "val", "test")[i // 2 % 3] for i in range(n)], who=[f"{i // 6}" for i in range(n)]
    )


def test_a_column_gives_the_sides():
    whole = official()
    split = parts(whole, column="part")
    assert [set(side.column("part")) for side in split] == [{"train"}, {"val"}, {"test"}]
    assert [len(side) for side in parts(whole, column="part", validation_share=0.3)] == [20, 20, 20]
    assert parts(whole, first=True, column="part").test.fingerprint == split.test.fingerprint


def test_where_the_column_has_no_validation_a_share_of_the_training_side_is_held_out():
    whole = official()
    whole = whole.take(np.array([part != "val" for part in whole.column("part")]))
    split = parts(whole, column="part", validation_share=0.2)
    assert [len(side) for side in split] == [16, 4, 20]
    assert set(split.validation.column("part")) == {"train"}
    assert split.validation.labels.mean() == 0.5


def test_subjects_stay_together_where_a_share_is_held_out():
    whole = official(120)
    for side, other in ((0, 1), (0, 2), (1, 2)):
        split = parts(whole, together="who", validation_share=0.2)
        assert not set(split[side].column("who")) & set(split[other].column("who"))
    test = table(40, seed=1, who=["test"] * 40)
    split = parts(whole.take(np.arange(60)), test, together="who", validation_share=0.3)
    assert not set(split.train.column("who")) & set(split.validation.column("who"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"column": "prt"}, r"'prt' for `split_column` in the data.*Nearest: part"),
        ({"together": "subject"}, "'subject' for `together`"),
        ({"column": "who"}, "Expected a side of the split in every row of 'who'"),
        ({"column": "part", "together": "who"}, "got 10 on two, for example 0 in"),
        ({"together": "who", "first": True}, "split by chance"),
        (
            {"together": "all"},
            r"got 30 positives and 30 negatives on the training|got 0 positives and 0 negatives on",
        ),
        ({"column": "part", "test": True}, "got both"),
        ({"column": "label"}, "got 0 positives and 30 negatives on the training side, by the column 'label'"),
        ({"together": "who", "test": True}, "'who' for `together`"),
    ],
)
def test_splits_that_cannot_be_made(given, words):
    whole = official()
    whole = table(
        60, part=whole.column("part"), who=whole.column("who"), all=["x"] * 60, label=["train", "test"] * 30
    )
    test = table(20, seed=1) if given.pop("test", False) else None
    with pytest.raises(InputError, match=words):
        parts(whole, test, **given)


def test_subjects_in_training_and_test_data_are_told():
    data = [table(40, seed=seed, who=[str(i + 39 * seed) for i in range(40)]) for seed in (0, 1)]
    with pytest.raises(InputError, match="got 1 on two, for example 39 in train and test"):
        parts(*data, together="who")


def test_one_side_for_jobs_that_do_not_split():
    whole = official()
    for side, part in (("train", "train"), ("test", "test")):
        found = Reading(split_column="part").side(whole, side)
        assert set(found.column("part")) == {part}
    assert Reading().side(whole, "test") is whole
    with pytest.raises(InputError, match="Add `split_column`"):
        Reading(together="who").side(whole, "train")
    with pytest.raises(InputError, match="got 10 on two"):
        Reading(split_column="part", together="who").side(whole, "train")


@pytest.mark.parametrize("given", [{"split_column": "part"}, {"together": "who"}])
def test_jobs_that_take_all_images_are_not_asked_for_some(given):
    from equipoise.run import look

    with pytest.raises(InputError, match="for look, which takes all images given"):
        look(Sources(data=official()), reading=Reading(**given))
    Reading().check_unsplit("look")


def test_a_run_names_only_what_was_asked_for():
    settings = Reading().settings()
    framing = ("resize", "crop", "squash", "cache_limit")
    assert {settings[name] for name in ("allow_outside", "split_column", "together", *framing)} == {None}
    asked = Reading(allow_outside=True, split_column="part", together="who", crop=0.875, resize="bilinear")
    assert Reading(**asked.settings()) == asked  # as a point of a sweep gets them


@pytest.mark.parametrize(
    ("given", "framing"),
    [
        ({}, Framing(224)),
        ({"resize": "bilinear"}, Framing(224, interpolation="bilinear")),
        ({"crop": 0.875}, Framing(224, resize=256)),
        ({"crop": 256.0}, Framing(224, resize=256)),
        ({"crop": 1.0, "resize": "bicubic"}, Framing(224, resize=224, interpolation="bicubic")),
        ({"squash": True, "resize": "nearest"}, Framing(224, "squash", interpolation="nearest")),
    ],
)
def test_a_reading_frames_as_it_says(given, framing):
    reading = Reading(image_size=224, **given)
    assert reading.framing == framing
    taken = Reading(cache="there").for_model(framing, 1)
    assert (taken.framing, taken.channels, taken.cache) == (framing, 1, "there")
    assert reading.for_model(framing, 3).framing == framing
    assert Reading(**taken.settings()).framing == framing


def test_a_model_s_framing_is_not_changed_by_flags():
    with pytest.raises(InputError, match="as the model takes them"):
        Reading(resize="bilinear").for_model(Framing(32), 3)
    assert Reading(crop=0.875).for_model(Framing(224, resize=256), 3).framing == Framing(224, resize=256)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"crop": 0.0}, "share in"),
        ({"crop": -1.0}, "share in"),
        ({"crop": 30.0}, "share in"),
        ({"crop": 70.5}, "share in"),
        ({"crop": float("nan")}, "share in"),
        ({"crop": float("inf")}, "share in"),
        ({"resize": "area"}, "nearest, bilinear, bicubic, lanczos"),
        ({"crop": 0.9, "squash": True}, "Leave one of the two out"),
        ({"image_size": 0}, "size of 1 or more"),
        ({"cache_limit": "10"}, "bytes with a unit"),
        ({"cache_limit": "much"}, "bytes with a unit"),
    ],
)
def test_readings_that_cannot_be(given, words):
    with pytest.raises(InputError, match=words):
        Reading(**given)


def test_what_is_drawn_is_not_framed():
    with pytest.raises(InputError, match="embedded set"):
        Sources(images=8).split(Reading(image_size=16, crop=0.9), seed=0)


def test_sides_of_two_framings_are_refused():
    test = replace(table(40, seed=1), framing=Framing(16, "squash"))
    with pytest.raises(InputError, match="one framing"):
        parts(replace(table(60), framing=Framing(16)), test)
    assert len(parts(table(60), test).test) == 40


def test_a_class_that_training_does_not_have_is_refused_by_name(tmp_path):
    from PIL import Image

    places = []
    for part, names in (("one", ("cat", "dog")), ("two", ("dog", "emu"))):
        for name in names:
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(3):
                colour = (len(part) * 20 + i, sum(map(ord, name)) % 256, ord(part[0]))
                Image.new("RGB", (16, 16), colour).save(tmp_path / part / name / f"{i}.png")
        places.append(str(tmp_path / part))
    reading = Reading(image_size=16, cache=str(tmp_path / "cache"))
    with pytest.raises(InputError, match=r"\(cat, dog\); got others as well: emu \(3 images\)"):
        Sources(data=places[0], test_data=places[1]).split(reading, seed=0, progress=False)
    named = Reading(image_size=16, cache=str(tmp_path / "cache"), positive_class="dog")
    assert len(Sources(data=places[0], test_data=places[1]).split(named, seed=0, progress=False).test) == 6


def test_values_written_in_two_ways_are_told():
    said = []
    told({"train": table(4, site=["1"] * 4), "test": table(4, site=["1.0"] * 4)}, said.append)
    assert any("1 and 1.0 are different values" in line for line in said)


@pytest.mark.parametrize("shares", [{"test_share": 1.0}, {"test_share": 0.0}, {"validation_share": -0.1}])
def test_shares_out_of_range(shares):
    with pytest.raises(InputError, match=r"`test_share`|`validation_share`"):
        parts(table(10), **shares)


def test_an_unknown_column_names_the_nearest():
    with pytest.raises(InputError, match=r"'gendr' for `groups`.*Nearest: gender"):
        check_attributes(table(2, gender=["m", "f"], race=["a", "b"]), ["gendr"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--groups=skn"], "Nearest: skin"),
        (["--recipe=equipose"], "Did you mean 'equipoise'"),
        (["--tune=resampling.bin=3"], "Did you mean 'bins'"),
        (["--tune=resampling.rule=maximum"], "must be one of max, product"),
        (["--tune=bins"], "Expected --tune KEY=VALUE"),
        (["--tune=resample.bins=3"], "Expected a part of a recipe"),
        (["--ess=2"], "ess is a share"),
        (["--format=manifst"], "Did you mean 'manifest'"),
        (["--batch-size=512"], "A batch of 512 needs 256 positives"),
        (["--batch-size=3"], "multiple of 2"),
        (["--fpr=1.5"], "false-positive rate"),
        (["--seed=-1"], "seed must be 0 or larger"),
        (["--device=tpux"], "device"),
        (["--positives=nowhere"], "got nothing. Check the path"),
        (["--data=nowhere"], "got both"),
        (["--resume", "--overwrite"], "got both"),
        (["--replicates=1"], "at least 100 replicates"),
        (["--image-size=33"], "multiple of"),
        (["--precision=bf16"], "Did you mean 'bf16-mixed'"),
        (["--processes=0"], "--processes must be 1 or more"),
        (["--max-rejected=2"], "max_rejected must be a share"),
        (["--positives="], "Expected a value for --positives; got an empty one"),
        (["--cache= "], "Expected a value for --cache"),
        (["--split-column=skin"], "got both"),
        (["--together=person"], "'person' for --together"),
    ],
)
def test_bad_input_is_one_message_and_leaves_nothing(flags, tmp_path, capsys, change, words):
    out = tmp_path / "out"
    changed = {flag.partition("=")[0] for flag in change} - {"--tune"}
    kept = [flag for flag in flags if flag.partition("=")[0] not in changed]
    assert main(["debias", *kept, "--quiet", f"--out={out}", *change]) == 2
    message = capsys.readouterr().err
    assert words in message
    assert "Traceback" not in message
    assert not out.exists() or not list(out.iterdir())


def test_one_of_two_sources(capsys, tmp_path, pictures):
    assert main(["debias", "--positives", pictures["positives"], f"--out={tmp_path / 'out'}"]) == 2
    assert "Expected --negatives beside --positives" in capsys.readouterr().err


def test_test_data_alone(capsys, tmp_path, pictures):
    flags = ["--test-positives", pictures["positives"], "--test-negatives", pictures["negatives"]]
    assert main(["debias", *flags, "--image-size=32", f"--out={tmp_path / 'out'}"]) == 2
    assert "Expected training data beside the test data" in capsys.readouterr().err


def test_one_class(capsys, tmp_path, pictures):
    rows = [f"{Path(pictures['positives']).parent / f'{i}.png'},1" for i in range(8)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *rows]))
    flags = [f"--data={tmp_path / 'list.csv'}", "--allow-outside", "--image-size=32"]
    assert main(["debias", *flags, f"--out={tmp_path / 'out'}"]) == 2
    message = capsys.readouterr().err
    assert "got 8 of class 1" in message
    assert "--positive-class" in message


def test_a_folder_below_a_file(capsys, tmp_path, flags):
    (tmp_path / "file").write_text("")
    assert main(["debias", *flags, "--quiet", f"--out={tmp_path / 'file' / 'out'}"]) == 2
    assert "folder that can be written" in capsys.readouterr().err


def test_a_full_disk_while_training(capsys, tmp_path, flags, monkeypatch):
    import errno
    import os

    def full(_handle):
        if list((tmp_path / "out" / "checkpoints").glob("plain/*.part")):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("equipoise.files.os.fsync", full)
    assert main(["debias", *flags, "--quiet", f"--out={tmp_path / 'out'}"]) == 1
    message = capsys.readouterr().err
    assert "disk is full" in message
    assert "--resume" in message
    assert not list((tmp_path / "out").rglob("*.part"))


def test_two_runs_into_one_folder(capsys, tmp_path, flags):
    from equipoise.run.folder import open_folder
    from equipoise.run.identity import Identity

    with open_folder(tmp_path / "out", Identity({})):
        assert main(["debias", *flags, "--quiet", f"--out={tmp_path / 'out'}"]) == 2
    assert "another run is working there" in capsys.readouterr().err
