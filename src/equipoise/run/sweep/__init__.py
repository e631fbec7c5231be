"""`sweep`: `debias` over settings and seeds, each point in a process of its own."""
