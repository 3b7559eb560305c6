"""Fixtures for tests of handlers, loaded by pytest through the `busway` plugin."""
