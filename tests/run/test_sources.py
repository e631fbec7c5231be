"""From what is named to what is trained on, and every message when that does not work out."""

from pathlib import Path

import numpy as np
import pytest

from equipoise.cli import main
from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.run.sources import Reading, Sources, check_attributes


def table(n, seed=0, **columns):
    images = np.random.default_rng(seed).integers(0, 256, (n, 16, 16, 3), dtype=np.uint8)
    return ImageTable.from_arrays(images, np.arange(n) % 2, columns or None)


def parts(train, test=None, *, first=False, **shares):
    return Sources(data=train, test_data=test, **shares).split(Reading(image_size=16), seed=0, first=first)


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


@pytest.mark.parametrize("shares", [{"test_share": 1.0}, {"test_share": 0.0}, {"validation_share": -0.1}])
def test_shares_out_of_range(shares):
    with pytest.raises(InputError, match=r"--test-share|--validation-share"):
        parts(table(10), **shares)


def test_an_unknown_column_names_the_nearest():
    with pytest.raises(InputError, match=r"'gendr' for --groups.*Nearest: gender"):
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
    assert (
        main(["debias", f"--data={tmp_path / 'list.csv'}", "--image-size=32", f"--out={tmp_path / 'out'}"])
        == 2
    )
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
