"""Jobs that are asked and not done."""

import pytest


@pytest.fixture
def asked(monkeypatch):
    """Name of a job, what it returns → what it was called with, in place of doing it."""
    import equipoise.run

    def instead(name, result=None):
        calls = []

        def job(*given, **named):
            calls.append((given, named))
            return result

        monkeypatch.setattr(equipoise.run, name, job)
        return calls

    return instead
