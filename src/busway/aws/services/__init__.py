"""aws/services."""
