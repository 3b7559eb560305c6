"""The project's events as pages that people read: a static site of one file, made from the code."""
