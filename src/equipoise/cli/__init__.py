"""The command line: one command a file, and the only place that knows flags and settings files.

Nothing heavy is imported before a command runs, so `--help` answers at once.
"""

from equipoise.cli.entry import main

__all__ = ["main"]
