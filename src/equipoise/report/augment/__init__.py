"""The report of `augment`: its record, its sentences, its page."""
