"""The handlers of this project, one a folder."""
