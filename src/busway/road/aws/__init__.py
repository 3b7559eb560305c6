"""A project on AWS: its template, its packages, its stack.

Pure: names, roles, letters (dead letters, alarm, who is told), function, batch_source, targets, template (all of it
as CloudFormation), overlay (what the project changes in that), difference (between two templates), attempt_log (what
functions' logs tell of their attempts).

From files: imports (which files a handler needs), dependencies (for Lambda's platform), packages (the zips), release
(a template with its packages).

With AWS: access (calls, and errors that say what to do), bucket (where code and templates lie), stack (change sets,
and waiting for them), deploy, rollback, compare, status, log_groups and history (what happened there).
"""
