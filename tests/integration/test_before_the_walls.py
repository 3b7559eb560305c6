"""What a function brings along runs behind its sandbox's walls, not before they stand."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import httpx
import pytest

from .whole_server import ROLE, whole_server

EARLY = """
import os
try:
    open(os.environ["FORBIDDEN"]).close()
    os.environ["SEEN_EARLY"] = os.environ.get("SEEN_EARLY", "") + __name__
except OSError:
    pass
"""
APP = """
import os
def handler(event, context):
    try:
        open(os.environ["FORBIDDEN"]).close()
        late = "read"
    except OSError:
        late = "refused"
    return [os.environ.get("SEEN_EARLY", ""), late, os.environ["LD_LIBRARY_PATH"]]
"""


def test_no_file_of_a_function_is_run_before_the_walls_stand(tmp_path: Path):
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app.py", APP)
        for early in ("sitecustomize.py", "usercustomize.py", "resource.py", "fcntl.py"):
            archive.writestr(early, EARLY)
    with whole_server(tmp_path) as server:
        if httpx.get(f"{server.url}/health").json()["sandbox"] == "process":
            pytest.skip("this machine has no walls between processes")
        functions = server.client("lambda")
        forbidden = next(file for file in (tmp_path / "data").rglob("*") if file.is_file())
        functions.create_function(
            FunctionName="early", Runtime="python3.11", Handler="app.handler", Role=ROLE,
            Code={"ZipFile": package.getvalue()},
            Environment={"Variables": {"FORBIDDEN": str(forbidden), "LD_LIBRARY_PATH": "/kept"}},
        )  # fmt: skip
        functions.get_waiter("function_active_v2").wait(FunctionName="early")
        answer = json.loads(functions.invoke(FunctionName="early")["Payload"].read())
    assert answer == ["", "refused", "/kept"]
