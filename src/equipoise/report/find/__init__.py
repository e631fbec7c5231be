"""The report of `find`: its record, its sentences, its page."""
