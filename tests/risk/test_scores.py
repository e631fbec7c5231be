import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from equipoise.errors import InputError, NotFittedError
from equipoise.risk import Histogram
from equipoise.risk.scores import write_risks


def wrapped_model(outputs=3, queue=200):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.BatchNorm1d(6), nn.Linear(6, outputs))
    return Histogram(queue=queue)(model).fit([torch.randn(100, 4) for _ in range(3)])


def batches_of(*sizes):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(size, 4, generator=generator) for size in sizes]


@pytest.mark.parametrize("sizes", [(7,), (5, 5, 5, 2), (30, 1, 9)])
@pytest.mark.parametrize("rows_per_group", [1, 7, 100])
def test_rows_are_the_scores_in_order_whatever_the_batches_and_groups(tmp_path, sizes, rows_per_group):
    wrapped, batches = wrapped_model(), batches_of(*sizes)
    wrapped.calibrate(batches_of(50))
    wrapped.train()
    codes = wrapped.methods["histogram"].running.codes.clone()
    path = tmp_path / "scores.parquet"
    names = (f"row {i}" for i in range(sum(sizes)))
    rows = write_risks(wrapped, batches, path, percentiles=True, ids=names, rows_per_group=rows_per_group)
    assert wrapped.training
    assert torch.equal(codes, wrapped.methods["histogram"].running.codes)
    file = pq.ParquetFile(path)
    assert rows == file.metadata.num_rows == sum(sizes)
    groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert all(count == rows_per_group for count in groups[:-1])
    table = file.read()
    assert table.column_names == [
        "id",
        *(f"prediction_{i}" for i in range(3)),
        "representation",
        "representation_percentile",
        "raw.histogram.log_density",
    ]
    assert table.column("id").to_pylist() == [f"row {i}" for i in range(rows)]
    prediction, risk = wrapped.eval()(torch.cat(batches), return_risk=True)
    np.testing.assert_allclose(table.column("prediction_2"), prediction[:, 2].detach(), atol=1e-6)
    np.testing.assert_allclose(table.column("representation"), risk.representation, rtol=1e-5)
    np.testing.assert_allclose(table.column("raw.histogram.log_density"), -risk.representation, rtol=1e-5)
    ranked = wrapped.percentile(risk).representation
    np.testing.assert_allclose(table.column("representation_percentile"), ranked, atol=1e-6)


def test_one_output_is_one_column_and_labels_are_ignored(tmp_path):
    wrapped = wrapped_model(outputs=1)
    batches = [(x, torch.zeros(len(x))) for x in batches_of(4, 4)]
    assert write_risks(wrapped, iter(batches), tmp_path / "a.parquet") == 8
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.column_names == ["prediction", "representation", "raw.histogram.log_density"]


def test_an_earlier_file_stays_when_something_goes_wrong(tmp_path):
    path = tmp_path / "scores.parquet"
    write_risks(wrapped_model(), batches_of(4), path)
    before = path.read_bytes()

    def broken():
        yield from batches_of(4)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_risks(wrapped_model(), broken(), path, rows_per_group=2)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_errors_say_what_to_do(tmp_path):
    wrapped, path = wrapped_model(), tmp_path / "scores.parquet"
    with pytest.raises(InputError, match="got none"):
        write_risks(wrapped, [], path)
    with pytest.raises(InputError, match="each of 4 samples; got more"):
        write_risks(wrapped, batches_of(4), path, ids=range(5))
    with pytest.raises(InputError, match="got fewer"):
        write_risks(wrapped, batches_of(4, 4), path, ids=range(5))
    with pytest.raises(NotFittedError, match="Call calibrate"):
        write_risks(wrapped, batches_of(4), path, percentiles=True)
    with pytest.raises(InputError, match="rows_per_group"):
        write_risks(wrapped, batches_of(4), path, rows_per_group=0)
    images = Histogram(on="inputs")(nn.Conv2d(4, 2, 1)).fit([torch.randn(60, 4, 1, 1)])
    with pytest.raises(InputError, match=r"shape \(4, 2, 1, 1\)"):
        write_risks(images, [torch.randn(4, 4, 1, 1)], path)
    assert not path.exists()
