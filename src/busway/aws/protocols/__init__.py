"""aws/protocols."""
