"""Secrets on a real server: set by the command line or boto3, had by a worker, and found nowhere else."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from busway.road.event_files import EventSpec
from busway.road.fields import parse_fields
from busway.road.generator import HandlerSpec, add_handler
from busway.road.project_files import new_project

from .whole_server import BIN, PATIENCE_S, ROLE, WholeServer, whole_server, zipped

VALUE = "sk_live_hunter2_9d1f"
READS = """
import os
def handler(event, context):
    return os.environ["STRIPE_KEY"][::-1]
"""
REFERENCE = "{{resolve:secretsmanager:shop/STRIPE_KEY}}"


def function(server: WholeServer, name: str = "pay") -> Any:
    client = server.client("lambda")
    client.create_function(
        FunctionName=name, Runtime="python3.12", Role=ROLE, Handler="app.handler", Code={"ZipFile": zipped(READS)},
        Environment={"Variables": {"STRIPE_KEY": REFERENCE}},
    )  # fmt: skip
    client.get_waiter("function_active_v2").wait(FunctionName=name)
    return client


def said(client: Any, name: str = "pay", **more: Any) -> Any:
    answer = client.invoke(FunctionName=name, **more)
    return json.loads(answer["Payload"].read())


def fed(server: WholeServer, text: str, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "busway", *words], env=server.environment, input=text, capture_output=True, text=True, cwd=cwd,
        timeout=PATIENCE_S, check=False,
    )  # fmt: skip


def files_with(folder: Path, text: str) -> list[str]:
    """The files that hold a text, or what base64 makes of it."""
    raw = text.encode()
    shapes = [raw, raw[::-1], *(base64.b64encode(raw[start:])[4:-4] for start in range(3))]
    found = (file for file in folder.rglob("*") if file.is_file())
    return [str(file) for file in found if any(shape in file.read_bytes() for shape in shapes)]


def test_a_worker_has_the_value_and_nothing_else_does(tmp_path: Path):
    with whole_server(tmp_path) as server:
        set_it = fed(server, f"{VALUE}\n", "secret", "set", "shop/STRIPE_KEY")
        assert set_it.returncode == 0, set_it.stderr
        client = function(server)
        assert said(client) == VALUE[::-1]
        shown = client.get_function_configuration(FunctionName="pay")
        assert shown["Environment"]["Variables"] == {"STRIPE_KEY": REFERENCE}
        assert [one["name"] for one in server.busway("secret", "list")["secrets"]] == ["shop/STRIPE_KEY"]
        for words in (("secret", "list"), ("list", "handlers"), ("status",), ("logs", "pay")):
            assert VALUE not in server.run(BIN / "busway", *words).stdout
        assert files_with(tmp_path, VALUE) == []
    assert files_with(tmp_path, VALUE) == []


def test_a_new_value_is_had_by_the_next_event_of_the_function_and_of_its_versions(tmp_path: Path):
    with whole_server(tmp_path) as server:
        manager = server.client("secretsmanager")
        manager.create_secret(Name="shop/STRIPE_KEY", SecretString="one")
        client = function(server)
        version = client.publish_version(FunctionName="pay")["Version"]
        client.get_waiter("published_version_active").wait(FunctionName="pay", Qualifier=version)
        assert (said(client), said(client, Qualifier=version)) == ("eno", "eno")
        manager.put_secret_value(SecretId="shop/STRIPE_KEY", SecretString="two")
        assert (said(client), said(client, Qualifier=version)) == ("owt", "owt")


def test_a_function_without_its_secret_says_so_and_runs_when_it_is_there(tmp_path: Path):
    with whole_server(tmp_path) as server:
        client = function(server)
        failed = said(client)
        assert failed["errorType"] == "Busway.NoSecret"
        told = "secret 'shop/STRIPE_KEY': Secrets Manager can't find the specified secret."
        assert failed["errorMessage"].endswith(f"{told} `busway secret set STRIPE_KEY` sets it.")
        server.client("secretsmanager").create_secret(Name="shop/STRIPE_KEY", SecretString="one")
        assert said(client) == "eno"
        server.busway("secret", "remove", "shop/STRIPE_KEY")
        assert said(client)["errorType"] == "Busway.NoSecret"


def test_the_key_may_be_kept_apart_from_the_data(tmp_path: Path):
    key, other = (base64.b64encode(os.urandom(32)).decode() for _ in range(2))
    with whole_server(tmp_path, secret_key=key) as server:
        server.client("secretsmanager").create_secret(Name="shop/STRIPE_KEY", SecretString="one")
        function(server)
    assert not (tmp_path / "data/secrets").exists()
    assert files_with(tmp_path, key) == []
    with whole_server(tmp_path, secret_key=other) as server:
        with pytest.raises(ClientError, match=r"DecryptionFailure.*sealed with another key"):
            server.client("secretsmanager").get_secret_value(SecretId="shop/STRIPE_KEY")
        assert "sealed with another key" in said(server.client("lambda"))["errorMessage"]
    with whole_server(tmp_path, secret_key=key) as server:
        assert said(server.client("lambda")) == "eno"


def test_a_setting_that_is_no_key_ends_the_start_and_is_not_shown(tmp_path: Path):
    environment = {**os.environ, "BUSWAY_SECRET_KEY": "hunter2"}
    words = [BIN / "busway", "serve", "--port", "0", "--data", str(tmp_path / "data")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 1
    assert "error: BUSWAY_SECRET_KEY is no key; wanted 32 bytes in base64" in done.stderr
    assert "hint: one is made by" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout


def test_boto3_has_what_it_put(tmp_path: Path):
    with whole_server(tmp_path) as server:
        manager = server.client("secretsmanager")
        made = manager.create_secret(
            Name="db/password",
            Description="of the shop",
            SecretBinary=b"\x00\xff",
            Tags=[{"Key": "team", "Value": "a"}],
        )
        found = manager.get_secret_value(SecretId=made["ARN"])
        assert (found["SecretBinary"], found["VersionId"], found["VersionStages"]) == (
            *(b"\x00\xff", made["VersionId"], ["AWSCURRENT"]),
        )
        changed = manager.update_secret(SecretId="db/password", SecretString="new", Description="still")
        described = manager.describe_secret(SecretId="db/password")
        assert described["VersionIdsToStages"] == {
            made["VersionId"]: ["AWSPREVIOUS"],
            changed["VersionId"]: ["AWSCURRENT"],
        }
        assert (described["Description"], described["Tags"]) == ("still", [{"Key": "team", "Value": "a"}])
        for number in range(4):
            manager.create_secret(Name=f"more/{number}", SecretString="x")
        pages = manager.get_paginator("list_secrets").paginate(PaginationConfig={"PageSize": 2})
        names = [one["Name"] for page in pages for one in page["SecretList"]]
        assert names == ["db/password", *(f"more/{number}" for number in range(4))]
        manager.delete_secret(SecretId="db/password", RecoveryWindowInDays=7)
        with pytest.raises(manager.exceptions.InvalidRequestException, match="marked for deletion"):
            manager.get_secret_value(SecretId="db/password")
        manager.restore_secret(SecretId="db/password")
        assert manager.get_secret_value(SecretId="db/password")["SecretString"] == "new"
        manager.delete_secret(SecretId="db/password", ForceDeleteWithoutRecovery=True)
        with pytest.raises(manager.exceptions.ResourceNotFoundException, match="can't find the specified secret"):
            manager.get_secret_value(SecretId="db/password")
        refusals = [
            ("create_secret", {"Name": "more/0", "SecretString": "x"}, "ResourceExistsException"),
            ("create_secret", {"Name": "a b", "SecretString": "x"}, "InvalidParameterException"),
            ("create_secret", {"Name": "b", "SecretString": "x", "SecretBinary": b"x"}, "InvalidParameterException"),
            ("put_secret_value", {"SecretId": "more/0"}, "InvalidRequestException"),
            ("put_secret_value", {"SecretId": "none", "SecretString": "x"}, "ResourceNotFoundException"),
            ("delete_secret", {"SecretId": "more/0", "RecoveryWindowInDays": 3}, "InvalidParameterException"),
            ("rotate_secret", {"SecretId": "more/0"}, "UnsupportedOperationException"),
        ]
        for operation, given, code in refusals:
            with pytest.raises(ClientError) as caught:
                getattr(manager, operation)(**given)
            assert caught.value.response["Error"]["Code"] == code


def test_a_project_s_secret_is_the_server_s_or_the_environment_s_and_else_an_error(tmp_path: Path):
    root = tmp_path / "shop"
    new_project(root, "shop")
    event = EventSpec("OrderPlaced", "shop", "Order Placed", parse_fields(["id:str"]))
    add_handler(root, HandlerSpec("pay", event, secrets=["STRIPE_KEY"]))
    file = root / "handlers/pay/handler.py"
    assert 'secrets=["STRIPE_KEY"]' in file.read_text()
    file.write_text(file.read_text().replace("print(", "import os\n    print(os.environ['STRIPE_KEY'][::-1], "))
    with whole_server(tmp_path) as server:

        def deploy(**environment: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [BIN / "busway", "dev", "--once", "--zip"], cwd=root, env={**server.environment, **environment},
                capture_output=True, text=True, timeout=PATIENCE_S, check=False, stdin=subprocess.DEVNULL,
            )  # fmt: skip

        def handled() -> str:
            done = fed(server, "", "invoke", "pay", cwd=root)
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout + done.stderr

        refused = deploy()
        assert refused.returncode == 1
        assert "handlers/pay/handler.py asks for secret 'STRIPE_KEY'" in refused.stderr
        assert "hint: busway secret set STRIPE_KEY" in refused.stderr
        assert server.client("lambda").list_functions()["Functions"] == []
        assert fed(server, "from-stdin", "secret", "set", "STRIPE_KEY", cwd=root).returncode == 0
        assert (done := deploy()).returncode == 0, done.stderr
        assert "nidts-morf" in handled()
        assert "taken from the environment, sealed" in deploy(STRIPE_KEY="from-shell").stderr
        assert "sealed" not in deploy(STRIPE_KEY="from-shell").stderr
        assert "llehs-morf" in handled()
        wrong = fed(server, "x", "secret", "set", "STRIPE-KEY", cwd=root)
        assert (wrong.returncode, "secret names 'STRIPE-KEY'" in wrong.stderr) == (1, True)
        assert fed(server, "", "secret", "set", "STRIPE_KEY", cwd=root).returncode == 2
