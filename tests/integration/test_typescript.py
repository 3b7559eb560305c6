"""One TypeScript file and no configuration: from the file to its first invocation, with boto3 and a whole server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .packages import packed, put_esbuild
from .whole_server import ROLE, WholeServer, whole_server

pytestmark = pytest.mark.needs("node")

HANDLER = """\
interface Order {
  id: string;
  amount: number;
}

class Refused extends Error {
  override name = "Refused";
}

export async function handler(event: { detail: Order }): Promise<string> {
  if (event.detail.amount < 0) throw new Refused(`${event.detail.id} has amount ${event.detail.amount}`);
  return `${event.detail.id} taken`;
}
"""


def invoke(client: Any, amount: int) -> dict[str, Any]:
    payload = json.dumps({"detail": {"id": "o-1", "amount": amount}})
    return client.invoke(FunctionName="orders", Payload=payload)


def check(server: WholeServer, code: dict[str, Any], where: str) -> None:
    client = server.client("lambda")
    client.create_function(
        FunctionName="orders", Runtime="nodejs20.x", Role=ROLE, Handler="handler.handler", Code=code, Timeout=20
    )
    client.get_waiter("function_active_v2").wait(FunctionName="orders", WaiterConfig={"Delay": 1})
    assert json.loads(invoke(client, 5)["Payload"].read()) == "o-1 taken"
    failed = invoke(client, -1)
    error = json.loads(failed["Payload"].read())
    assert failed["FunctionError"] == "Unhandled"
    assert (error["errorType"], error["errorMessage"]) == ("Refused", "o-1 has amount -1")
    assert f"{where}handler.ts:11:" in error["trace"][1]
    client.close()


def test_a_typescript_file_in_a_zip_runs_without_any_configuration(tmp_path: Path):
    put_esbuild(tmp_path / "data")
    with whole_server(tmp_path) as server:
        check(server, {"ZipFile": packed({"handler.ts": HANDLER})}, "")


def test_a_typescript_file_in_a_folder_runs_where_it_lies(tmp_path: Path):
    put_esbuild(tmp_path / "data")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "handler.ts").write_text(HANDLER)
    with whole_server(tmp_path, access_keys="") as server:
        check(server, {"S3Bucket": "hot-reload", "S3Key": str(folder)}, f"{folder}/")
    assert [path.name for path in folder.iterdir()] == ["handler.ts"], "nothing is written there"
