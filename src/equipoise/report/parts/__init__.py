"""What reports share: figures, tables, words, the terminal, records as JSON."""
