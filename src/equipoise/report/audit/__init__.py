"""The report of `audit`: its record, its sentences, its page."""
