"""The labs' HDF5 file, in both published channel orders."""

import builtins

import numpy as np
import pytest

from equipoise.data import read
from equipoise.data.lab_hdf5 import channel_order_of_faces, lab_hdf5
from equipoise.errors import DataError, InputError, MissingExtraError

h5py = pytest.importorskip("h5py")


@pytest.fixture
def faces(rng):
    """RGB pictures, of which the first 30 are as red as skin and the others blue."""
    images = rng.integers(60, 120, (50, 64, 64, 3), dtype=np.uint8)
    images[:30, ..., 0] += 80
    images[30:, ..., 2] += 80
    return images


@pytest.fixture
def stored(tmp_path):
    def write(images, labels, **others):
        path = tmp_path / "train_face.h5"
        with h5py.File(path, "w") as file:
            file["images"] = images
            if labels is not None:
                file["labels"] = np.asarray(labels)[:, None]
            for name, values in others.items():
                file[name] = values
        return path

    return write


LABELS = [1] * 30 + [0] * 20


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_both_variants_give_rgb(faces, stored, order):
    path = stored(faces if order == "rgb" else faces[..., ::-1], LABELS)
    for declared in (None, order):
        table = read(path, channel_order=declared)
        np.testing.assert_array_equal(table.batch(np.arange(50)), faces)
        assert table.labels.tolist() == LABELS
    assert read(path).notes[0] == f"Channel order of train_face.h5: {order}, told from its faces."


def test_a_declared_order_is_believed(faces, stored):
    path = stored(faces, LABELS)
    read(path)
    np.testing.assert_array_equal(read(path, channel_order="bgr").batch([0]), faces[:1, ..., ::-1])


@pytest.mark.parametrize("skin", [(255, 224, 196), (141, 85, 36), (60, 35, 25)])
def test_skin_of_any_tone_tells(skin):
    picture = np.tile(np.array(skin, np.uint8), (1, 8, 8, 1))
    assert channel_order_of_faces(picture) == ("rgb", 1.0)
    assert channel_order_of_faces(picture[..., ::-1]) == ("bgr", 0.0)


def test_an_order_that_cannot_be_told(faces, stored):
    with pytest.raises(DataError, match=r'not clear\. Say channel_order="bgr"'):
        read(stored(np.concatenate([faces[:30], faces[:30, ..., ::-1]]), [1] * 60))
    with pytest.raises(DataError, match="not clear"):
        read(stored(np.full((5, 64, 64, 3), 9, np.uint8), [1] * 5))
    with pytest.raises(DataError, match=r"faces \(label 1\)"):
        read(stored(faces, [0] * 50))
    with pytest.raises(InputError, match='"rgb" or "bgr"'):
        read(stored(faces, LABELS), channel_order="gbr")


def test_real_faces_tell(shared_data):
    from pyarrow import parquet

    from equipoise.pictures.decode import decoded

    file = parquet.ParquetFile(shared_data / "fairface64" / "test.parquet")
    rows = file.read_row_group(0, columns=["image", "race"]).slice(0, 300).to_pylist()
    for race in (None, "Black"):
        chosen = [row["image"]["bytes"] for row in rows if race in (None, row["race"])]
        pictures = np.stack([decoded(data, size=64, channels=3) for data in chosen])
        assert channel_order_of_faces(pictures)[0] == "rgb"
        assert channel_order_of_faces(pictures[..., ::-1])[0] == "bgr"


def test_other_data_sets_become_attributes(faces, stored):
    path = stored(
        faces, LABELS, age=np.arange(50), skin=np.array(["a", "b"] * 25, dtype="S1"), odd=np.zeros(3)
    )
    table = read(path)
    assert table.attributes.column_names == ["age", "skin", "path"]
    assert table.column("skin")[:2] == ["a", "b"]
    assert table.column("path")[3] == f"{path}#3"


def test_other_sizes_are_resized(faces, stored):
    assert read(stored(faces[:, ::2], LABELS), image_size=16).batch([0]).shape == (1, 16, 16, 3)


def test_malformed_files(tmp_path, faces, stored):
    (tmp_path / "a.h5").write_text("no hdf5")
    with pytest.raises(DataError, match="HDF5 file"):
        lab_hdf5(tmp_path / "a.h5")
    with pytest.raises(DataError, match=r"uint8 .* got float64"):
        lab_hdf5(stored(faces / 255, LABELS))
    with pytest.raises(DataError, match=r"\(50, 3, 64, 64\).*channels last"):
        lab_hdf5(stored(faces.transpose(0, 3, 1, 2), LABELS))
    with pytest.raises(DataError, match="label=1"):
        read(stored(faces, None), channel_order="rgb")


def test_without_h5py(tmp_path, monkeypatch):
    original = builtins.__import__

    def refuse(name, *arguments, **options):
        if name == "h5py":
            raise ImportError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=r"pip install 'equipoise\[hdf5\]'"):
        lab_hdf5(tmp_path / "a.h5")
