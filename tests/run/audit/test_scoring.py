"""Which risks an audit tells, and how images are ranked by them."""

import pytest

from equipoise.errors import InputError
from equipoise.run import AUDIT_METHODS, Scoring
from equipoise.run.audit.scoring import TITLES


def test_every_method_has_a_title_and_is_made_from_the_seed():
    assert set(TITLES) == set(AUDIT_METHODS)
    chosen = Scoring(methods=("histogram-vae", "dropout")).chosen(1)  # as on the command line
    assert list(chosen) == ["histogram_vae", "dropout"]
    assert all(kind in ("representation", "epistemic") for one in chosen.values() for kind in one.kinds)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"methods": ["neighbors"]}, "`methods` must be among"),
        ({"methods": ["neighbours"]}, "got none of epistemic risk"),
        ({"methods": ["mve"]}, "got none of representation and epistemic risk"),
        ({"methods": []}, "among none"),
        ({"epochs": 0}, "`epochs` must be 1 or larger"),
    ],
)
def test_what_cannot_be_told_is_refused(asked, words):
    with pytest.raises(InputError, match=words):
        Scoring(**asked).chosen(0)
