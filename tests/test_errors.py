import pytest

import equipoise
from equipoise import errors


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.InputError, ValueError),
        (errors.NotFittedError, RuntimeError),
        (errors.DataError, OSError),
        (errors.TrainingError, RuntimeError),
        (errors.MissingExtraError, ImportError),
    ],
)
def test_each_error_is_ours_and_a_builtin(error, builtin):
    assert issubclass(error, equipoise.EquipoiseError)
    with pytest.raises(builtin, match="what to do"):
        raise error("what to do")


def test_the_warning_is_a_user_warning():
    assert issubclass(errors.UndefinedRateWarning, UserWarning)


def test_all_names_exist():
    assert all(hasattr(errors, name) for name in errors.__all__)
