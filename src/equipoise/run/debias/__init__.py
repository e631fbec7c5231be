"""`debias`: plain and debiased training side by side, compared."""
