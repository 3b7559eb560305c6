from __future__ import annotations

import json

from busway.cli.tracebacks import brief_lines

PYTHON = [
    "before",
    "[ERROR] JSONDecodeError: Expecting value",
    "Traceback (most recent call last):",
    '  File "/home/ada/shop/handlers/note/handler.py", line 9, in note',
    "    json.loads(event.text)",
    '  File "/usr/lib/python3.11/json/__init__.py", line 346, in loads',
    "    return _default_decoder.decode(s)",
    "           ^^^^^^^^^^^^^^^^^^^^^^^^^^",
    '  File "/home/ada/.venv/lib/python3.11/site-packages/pkg/x.py", line 3, in decode',
    "after",
]


def test_of_a_traceback_the_lines_of_its_author_stay():
    assert list(brief_lines(PYTHON)) == [*PYTHON[:5], "after"]


def test_an_error_of_node_is_told_in_words_with_its_place_in_the_project():
    told = {
        "errorType": "TypeError",
        "errorMessage": "no such table",
        "stack": [
            "TypeError: no such table",
            "    at <anonymous> (/home/ada/shop/handlers/note/handler.ts:7:9)",
            "    at handler (/home/ada/shop/node_modules/busway/index.js:9:1)",
            "    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)",
        ],
    }
    line = f"2026-11-28T12:00:00.000Z\t42\tERROR\tInvoke Error \t{json.dumps(told)}"
    assert list(brief_lines([line, "after"])) == [
        "TypeError: no such table",
        "    at <anonymous> (/home/ada/shop/handlers/note/handler.ts:7:9)",
        "after",
    ]


def test_what_is_no_trace_is_shown_as_it_was_printed():
    lines = ['ERROR Invoke Error {"errorType":', "    at nowhere", '  File "mine.txt"', "", "Traceback of mine"]
    assert list(brief_lines(lines)) == lines
