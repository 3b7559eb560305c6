"""`busway logs` of functions that never ran."""

from __future__ import annotations

from typing import Any

import pytest

from busway.cli import main
from busway.errors import ServerRefused


def answer(monkeypatch: pytest.MonkeyPatch, told: dict[str, Any]) -> None:
    def get(*_: object, **__: object) -> dict[str, Any]:
        return told

    monkeypatch.setattr("busway.road.connection.Connection.get", get)


def test_a_function_that_could_not_be_built_says_why(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    answer(monkeypatch, {"lines": [], "state": "Failed", "failure": "uv: no version of nosuch"})
    assert main(["logs", "mail"]) == 0
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("mail is Failed: uv: no version of nosuch\n\nhint: mend its code")


def test_an_update_that_could_not_be_built_is_told_beside_the_lines(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    line = {"at": 0.0, "request_id": "r-1", "line": "it runs"}
    answer(monkeypatch, {"lines": [line], "state": "Active", "failure": "app.ts:1: wrong"})
    assert main(["logs", "mail", "--json"]) == 0
    out, err = capfd.readouterr()
    assert '"it runs"' in out
    assert err.startswith("the last update of mail failed, it runs the code before: app.ts:1: wrong\n")


def test_a_function_that_is_well_says_nothing(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    answer(monkeypatch, {"lines": [], "state": "Active", "failure": ""})
    assert main(["logs", "mail"]) == 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("words", [["logs", "mial"], ["invoke", "mial"]])
def test_a_name_that_the_server_does_not_know_is_answered_with_those_it_does(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    def get(_: object, path: str, **__: object) -> dict[str, Any]:
        if path != "/_busway/status":
            raise ServerRefused("GET", "", "Function not found: mial")
        arn = "arn:aws:lambda:us-east-1:000000000000:function:mail"
        return {"rules": [], "functions": [{"arn": arn, "name": "mail"}]}

    def call(*_: object) -> dict[str, Any]:
        raise ServerRefused("Invoke", "ResourceNotFoundException", "Function not found: mial")

    monkeypatch.setattr("busway.road.connection.Connection.get", get)
    monkeypatch.setattr("busway.road.connection.Connection.call", call)
    assert main(words) == 1
    assert "the server has no handler 'mial'; it has mail" in capfd.readouterr().err
