"""Edits: the pattern or the event, changed as little as a person would, so that the one matches the other. Pure."""

from busway.pattern.edits.edit import Change, Edit
from busway.pattern.edits.mending import mend, mend_event, mend_for
from busway.pattern.edits.repair import edits

__all__ = ["Change", "Edit", "edits", "mend", "mend_event", "mend_for"]
