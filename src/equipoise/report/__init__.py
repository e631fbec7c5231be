"""What a run leaves behind, and what people see of it. No torch here."""
