"""The report of `debias`: its record, its sentences, its page."""
