"""Vectors of files: NumPy's and Parquet's; what is none says so, and nothing is unpickled."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from equipoise.data.vector_file import list_vectors, vectors_in
from equipoise.errors import DataError, InputError

VECTORS = np.arange(12, dtype=np.float32).reshape(4, 3)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_numpy_file_stays_on_the_disk(tmp_path, dtype, order):
    np.save(tmp_path / "v.npy", np.asarray(VECTORS, dtype, order=order))
    found = vectors_in(tmp_path / "v.npy")
    assert found.paths is None
    assert found.values.dtype == dtype
    np.testing.assert_array_equal(found.values, VECTORS)


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32()), pa.large_list(pa.float64()), pa.list_(pa.float32(), 3)]
)
def test_a_parquet_column_of_lists_with_paths(tmp_path, kind):
    columns = {"path": list("abcd"), "n": [1, 2, 3, 4], "v": pa.array(VECTORS.tolist(), kind)}
    pq.write_table(pa.table(columns), tmp_path / "v.parquet")
    for name in (None, "v"):
        found = vectors_in(tmp_path / "v.parquet", name)
        assert found.paths == list("abcd")
        np.testing.assert_array_equal(found.values, VECTORS)


def test_several_columns_must_be_told_apart(tmp_path):
    both = pa.array(VECTORS.tolist())
    pq.write_table(pa.table({"one": both, "two": pa.array((VECTORS + 1).tolist())}), tmp_path / "v.parquet")
    with pytest.raises(InputError, match=r"Expected one column of vectors.*got one, two"):
        vectors_in(tmp_path / "v.parquet")
    np.testing.assert_array_equal(vectors_in(tmp_path / "v.parquet", "two").values, VECTORS + 1)


def test_what_is_no_numpy_file_of_vectors_is_refused(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{}, 1], object), allow_pickle=True)
    np.save(tmp_path / "flat.npy", VECTORS[0])
    np.save(tmp_path / "empty.npy", VECTORS[:0])
    np.save(tmp_path / "text.npy", np.array([["a"], ["b"]]))
    np.save(tmp_path / "whole.npy", VECTORS)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "whole.npy").read_bytes()[:-5])
    (tmp_path / "torch.npy").write_bytes(b"PK\x03\x04")
    (tmp_path / "nothing.npy").write_bytes(b"")
    for name in ("objects", "cut", "torch", "nothing"):
        with pytest.raises(DataError, match=r"Expected numbers in .*npy"):
            vectors_in(tmp_path / f"{name}.npy")
    for name in ("flat", "empty", "text"):
        with pytest.raises(DataError, match=r"shape \(images, dimensions\)"):
            vectors_in(tmp_path / f"{name}.npy")
    with pytest.raises(InputError, match="Expected a Parquet table for the column 'v'"):
        vectors_in(tmp_path / "whole.npy", "v")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "v.pt").write_bytes(b"x")
    with pytest.raises(DataError, match=r"ending in \.npy or \.parquet"):
        vectors_in(tmp_path / "v.pt")
    with pytest.raises(DataError, match="got nothing"):
        vectors_in(tmp_path / "gone.npy")
    (tmp_path / "v.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="damaged or not whole"):
        vectors_in(tmp_path / "v.parquet")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([[1.0, 2.0], None], "got none in row 1"),
        ([[1.0, 2.0], [1.0]], "got one of length 1 in row 1 and one of length 2 in row 0"),
        (["a", "b"], "Expected lists of numbers"),
    ],
)
def test_rows_without_a_vector_or_of_another_length_are_refused(values, said):
    with pytest.raises(InputError, match=said):
        list_vectors(pa.table({"v": values}), "v")
