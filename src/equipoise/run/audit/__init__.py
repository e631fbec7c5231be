"""`audit`: the risks of every picture of a folder."""
