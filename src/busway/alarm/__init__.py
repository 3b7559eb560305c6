"""alarm."""
