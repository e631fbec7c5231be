"""What pairs shall differ in, and how they are made."""

import pytest

from equipoise.errors import InputError
from equipoise.run import Attributes, Augmentation, Reading
from equipoise.train import GAN


def test_attributes_are_taken_once_and_discovered_ones_are_no_columns():
    found = Attributes("smiling", ["sex", "age", "sex"]).checked(Reading(), "complement")
    assert found.protected == ("sex", "age")
    assert found.columns == ["sex", "age"]
    assert Attributes("smiling", ["discover"]).columns == []


def test_classes_are_called_what_the_user_calls_them():
    assert Attributes("smiling", ["sex"]).classes(Reading()) == ("not smiling", "smiling")
    assert Attributes("mood", ["sex"]).classes(Reading(positive_class="glad")) == ("not glad", "glad")


@pytest.mark.parametrize(
    ("protected", "variant", "words"),
    [
        ([], "complement", "`protected` must be one column"),
        (["smiling"], "complement", "other than the target 'smiling'"),
        (["sex", "discover"], "complement", "'discover' alone"),
        (["target"], "complement", "must not be called 'target'"),
        (["sex", "age"], "complement_by_side", "takes one protected attribute"),
    ],
)
def test_what_does_not_go_together(protected, variant, words):
    with pytest.raises(InputError, match=words):
        Attributes("smiling", protected).checked(Reading(), variant)


def test_a_generator_is_named_and_one_to_be_trained_is_its_steps(tmp_path):
    trained = Augmentation(GAN(steps=7))
    assert (trained.making, trained.settings()["generator_steps"]) == (GAN(steps=7), 7)
    assert trained.settings()["generator"] is None
    given = Augmentation(tmp_path)
    assert given.making is None
    assert given.settings()["generator"] == str(tmp_path)
    assert set(given.brought()) == {"generator"}


def test_what_settings_do_not_say_of_a_generator_is_part_of_the_identity():
    assert Augmentation(GAN(steps=7)).brought() == {}
    first, second = (Augmentation(GAN(steps=7, width=width)).brought() for width in (16, 24))
    assert first != second
    assert set(first) == {"generator_settings"}
