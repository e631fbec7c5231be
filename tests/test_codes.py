import numpy as np
import pytest
import torch

from equipoise.codes import array64, block_rows, blocks
from equipoise.errors import InputError


@pytest.mark.parametrize("form", [np.asarray, torch.as_tensor, lambda v: torch.as_tensor(v).half()])
@pytest.mark.parametrize("rows", [1, 4, 100])
def test_blocks_are_float64_copies_in_order_of_the_form_that_came(form, rows):
    codes = form(np.arange(30, dtype=np.float32).reshape(10, 3))
    found = list(blocks(codes, rows=rows))
    assert [place.start for place, _ in found] == list(range(0, 10, rows))
    for place, block in found:
        assert type(block) is type(codes)
        assert array64(block).dtype == np.float64
        np.testing.assert_array_equal(array64(block), array64(codes)[place])
        block[:] = -1
    assert float(codes.min()) == 0


def test_blocks_end_gradients_and_hold_2_mib():
    codes = torch.ones(3, 2, requires_grad=True)
    assert not next(blocks(codes))[1].requires_grad
    assert (block_rows(1), block_rows(64), block_rows(10**9)) == (1 << 18, 1 << 12, 1)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("form", [np.asarray, torch.as_tensor])
def test_the_row_that_is_wrong_is_named_among_all(form, wrong):
    codes = np.ones((10, 2))
    codes[7, 1] = wrong
    with pytest.raises(InputError, match="NaN or infinity in row 27"):
        list(blocks(form(codes), rows=3, seen=20))


def test_numbers_whose_sum_overflows_are_finite_all_the_same():
    assert len(list(blocks(np.full((4, 2), 1e308)))) == 1


def test_what_is_no_number():
    with pytest.raises(InputError, match="must be numbers; got an array of <U1"):
        list(blocks(np.array([["a"]])))
