"""Where the page listens."""

import pytest

from equipoise.errors import InputError
from equipoise.explore import listening


def test_it_listens_on_this_machine_alone():
    with listening() as one, listening() as other:
        assert one.getsockname()[0] == other.getsockname()[0] == "127.0.0.1"
        assert one.getsockname()[1] != other.getsockname()[1]


def test_a_taken_port_is_said():
    with listening() as one, pytest.raises(InputError, match="it is taken"):
        listening(one.getsockname()[1])


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_is_a_number_of_one(port):
    with pytest.raises(InputError, match=r"0…65535"):
        listening(port)
