"""The paved road: a project's folders, its generator and templates, what they deploy, and the loop of `busway dev`.

Everything is found by folder (`events/*.py`, `handlers/<name>/handler.py`): adding one edits no existing file.
"""
