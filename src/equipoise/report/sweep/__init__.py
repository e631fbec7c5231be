"""The report of `sweep`: its record, its sentences, its page."""
