"""The events of this project, one class a file."""
