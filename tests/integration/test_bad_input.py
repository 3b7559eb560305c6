"""Bad input for a whole server: a clear error, nothing lost, the server unharmed."""

from __future__ import annotations

import io
import json
import os
import socket
import sqlite3
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from busway.cli.demo.server import ServerProcess, free_port
from busway.cli.verify import report_of_folder

# As every SDK sends it; without access keys any signature is taken.
AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=test/20261123/us-east-1/events/aws4_request, SignedHeaders=host, Signature="
    + "0" * 64
)
QUEUE_ARN = "arn:aws:sqs:us-east-1:000000000000:all"
GOOD = {"Source": "bad.input", "DetailType": "Good", "Detail": '{"good": true}'}


def client(server: ServerProcess, service: str) -> Any:
    """Sends what it is given: it's the server that must see what is wrong."""
    config = Config(retries={"max_attempts": 0}, parameter_validation=False)
    return boto3.client(
        service, endpoint_url=server.endpoint, region_name="us-east-1", aws_access_key_id="test",
        aws_secret_access_key="test", config=config,
    )  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path_factory.mktemp("bad") / "data", free_port())
    server.start()
    client(server, "sqs").create_queue(QueueName="all")
    client(server, "events").put_rule(Name="all", EventPattern='{"source": ["bad.input"]}')
    client(server, "events").put_targets(Rule="all", Targets=[{"Id": "q", "Arn": QUEUE_ARN}])
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.log_file.read_text()


@pytest.fixture(autouse=True)
def unharmed(server: ServerProcess) -> Iterator[None]:
    """After whatever was done, exactly the events that were acknowledged arrive."""
    yield
    events, sqs = client(server, "events"), client(server, "sqs")
    answer = events.put_events(Entries=[GOOD, GOOD])
    wanted = {entry["EventId"] for entry in answer["Entries"]}
    url = f"{server.endpoint}/000000000000/all"
    found: set[str] = set()
    while not wanted <= found:
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=20).get("Messages", [])
        assert messages, f"{wanted - found} never came"
        found |= {json.loads(message["Body"])["id"] for message in messages}
        handles = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
        sqs.delete_message_batch(QueueUrl=url, Entries=handles)
    assert found == wanted, "what was refused was delivered"


def post(server: ServerProcess, target: str, body: bytes) -> httpx.Response:
    headers = {
        "Authorization": AUTHORIZATION,
        "X-Amz-Target": target,
        "Content-Type": "application/x-amz-json-1.1",
    }
    return httpx.post(server.endpoint, content=body, headers=headers, timeout=30)


def entries(*given: dict[str, Any]) -> bytes:
    return json.dumps({"Entries": list(given)}).encode()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", None),
        (b"{", "SerializationException"),
        (b"[1]", "SerializationException"),
        (b'"Entries"', "SerializationException"),
        (b"\xff\xfe\x00", "SerializationException"),
        (b'{"Entries": ' + b"[" * 50_000, "SerializationException"),
        (b'{"Entries": "many"}', "SerializationException"),
        (b'{"Entries": {"0": {}}}', "SerializationException"),
        (b'{"Entries": [1]}', "SerializationException"),
        (b'{"Entries": [{"Source": 7}]}', "SerializationException"),
        (b'{"Entries": []}', "ValidationException"),
        (b"{}", "ValidationException"),
        (entries(*[GOOD] * 11), "ValidationException"),
    ],
)
def test_a_broken_request_is_refused_whole(server: ServerProcess, body: bytes, code: str | None):
    answer = post(server, "AWSEvents.PutEvents", body)
    assert answer.status_code == 400, answer.text
    told = answer.json()
    if code is not None:
        assert told["__type"].rpartition("#")[2] == code
    assert told.get("message") or told.get("Message") or code == "SerializationException"


@pytest.mark.parametrize(
    "entry",
    [
        {"DetailType": "d", "Detail": "{}"},
        {"Source": "bad.input", "Detail": "{}"},
        {"Source": "bad.input", "DetailType": "d"},
        {"Source": "bad.input", "DetailType": "d", "Detail": "{"},
        {"Source": "bad.input", "DetailType": "d", "Detail": "[]"},
        {"Source": "bad.input", "DetailType": "d", "Detail": "NaN"},
        {"Source": "bad.input", "DetailType": "d", "Detail": '{"a": NaN}'},
        {"Source": "bad.input", "DetailType": "d", "Detail": "{}" + "\u0000"},
        {"Source": "aws.ec2", "DetailType": "d", "Detail": "{}"},
    ],
)
def test_a_broken_entry_is_refused_by_itself_and_counted(server: ServerProcess, entry: dict[str, Any]):
    answer = client(server, "events").put_events(Entries=[entry, {**GOOD, "Source": "nobody.listens"}])
    assert answer["FailedEntryCount"] == 1
    refused, taken = answer["Entries"]
    assert refused["ErrorCode"]
    assert refused["ErrorMessage"]
    assert "EventId" not in refused
    assert taken["EventId"]


def test_an_entry_that_is_too_large_refuses_the_request(server: ServerProcess):
    huge = {**GOOD, "Detail": json.dumps({"x": "x" * 1_100_000})}
    with pytest.raises(ClientError) as told:
        client(server, "events").put_events(Entries=[huge])
    assert told.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 413)
    assert told.value.response["Error"]["Message"]


@pytest.mark.parametrize(
    "target", ["AWSEvents.PutNothing", "AWSEvents.", "AWSNothing.PutEvents", "AWSEvents.CreateApiDestination", "x"]
)
def test_an_unknown_operation_is_named(server: ServerProcess, target: str):
    answer = post(server, target, b"{}")
    assert 400 <= answer.status_code <= 501
    assert answer.json()["__type"]


@pytest.mark.parametrize(
    "pattern",
    ["", "{", "[]", "{}", '{"source": "text"}', '{"detail": {"n": [{"numeric": [">"]}]}}', '{"a": [{"x": 1}]}'],
)
def test_a_bad_pattern_makes_no_rule(server: ServerProcess, pattern: str):
    events = client(server, "events")
    with pytest.raises(ClientError) as told:
        events.put_rule(Name="bad", EventPattern=pattern)
    assert told.value.response["Error"]["Code"] in ("InvalidEventPatternException", "ValidationException")
    assert [rule["Name"] for rule in events.list_rules()["Rules"]] == ["all"]


def test_what_is_missing_is_named(server: ServerProcess):
    events, functions, sqs = (client(server, name) for name in ("events", "lambda", "sqs"))
    target = {"Id": "1", "Arn": QUEUE_ARN}
    missing, no_queue = "ResourceNotFoundException", "AWS.SimpleQueueService.NonExistentQueue"
    asked: list[tuple[str, Callable[[], object]]] = [
        (missing, lambda: events.describe_rule(Name="absent")),
        (missing, lambda: events.put_targets(Rule="absent", Targets=[target])),
        (missing, lambda: events.put_rule(Name="r", EventBusName="absent", EventPattern='{"source": ["a"]}')),
        (missing, lambda: functions.invoke(FunctionName="absent")),
        (missing, lambda: functions.invoke(FunctionName="absent", InvocationType="Event")),
        (no_queue, lambda: sqs.get_queue_url(QueueName="absent")),
    ]
    for code, ask in asked:
        with pytest.raises(ClientError) as told:
            ask()
        assert told.value.response["Error"]["Code"] == code
        assert told.value.response["Error"]["Message"]


def test_an_event_for_a_function_that_is_missing_ends_in_its_dead_letter_queue(server: ServerProcess):
    events, sqs = client(server, "events"), client(server, "sqs")
    url = sqs.create_queue(QueueName="dead")["QueueUrl"]
    events.put_rule(Name="lost", EventPattern='{"source": ["for.nobody"]}')
    gone = "arn:aws:lambda:us-east-1:000000000000:function:absent"
    dead = {"Arn": "arn:aws:sqs:us-east-1:000000000000:dead"}
    events.put_targets(Rule="lost", Targets=[{"Id": "f", "Arn": gone, "DeadLetterConfig": dead}])
    events.put_events(Entries=[{**GOOD, "Source": "for.nobody"}])
    (letter,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20, MessageAttributeNames=["All"])["Messages"]
    assert letter["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "NO_RESOURCE"
    events.remove_targets(Rule="lost", Ids=["f"])
    events.delete_rule(Name="lost")


def zipped(**files: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def linked() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        link = zipfile.ZipInfo("app.py")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    return content.getvalue()


def lying(honest: bytes) -> bytes:
    """States that its files are tiny."""
    at = honest.rindex(b"PK\x01\x02") + 24
    return honest[:at] + struct.pack("<I", 10) + honest[at + 4 :]


BOMB = zipped(**{"app.py": bytes(200_000_000)})
BAD_ZIPS = {
    "no zip": b"no zip at all",
    "empty": b"",
    "cut off": zipped(**{"app.py": b"x = 1"})[:-30],
    "upwards": zipped(**{"../../../escaped.py": b"x = 1"}),
    "absolute": zipped(**{"/tmp/escaped.py": b"x = 1"}),
    "a link": linked(),
    "a bomb": BOMB,
    "a bomb that lies": lying(BOMB),
    "too many files": zipped(**{f"f{n}": b"" for n in range(20_000)}),
}


@pytest.mark.parametrize("content", BAD_ZIPS.values(), ids=BAD_ZIPS.keys())
def test_a_bad_zip_makes_no_function_and_writes_nothing(server: ServerProcess, content: bytes):
    functions = client(server, "lambda")
    role = "arn:aws:iam::000000000000:role/test"
    with pytest.raises(ClientError) as told:
        functions.create_function(
            FunctionName="bad", Runtime="python3.11", Role=role, Handler="app.handler", Code={"ZipFile": content}
        )
    assert told.value.response["Error"]["Code"] == "InvalidParameterValueException"
    assert told.value.response["Error"]["Message"]
    assert functions.list_functions()["Functions"] == []
    assert not [file for file in server.data.rglob("*") if file.name in ("escaped.py", "app.py", "f0")]
    assert not list(server.data.parent.parent.rglob("escaped.py"))
    assert not Path("/tmp/escaped.py").exists()


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\n" + b"X: " + b"x" * 200_000,
        b"",
    ],
)
def test_what_is_no_request_is_refused_or_hung_up_on(server: ServerProcess, sent: bytes):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65_536)
        except (ConnectionResetError, BrokenPipeError):
            return
    assert answer == b"" or answer.split()[1][:1] == b"4", answer


# --- servers that cannot start ---


def serve(*flags: str, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "busway", "serve", *flags]
    return subprocess.run(
        command, env={**os.environ, **settings}, capture_output=True, text=True, timeout=60, check=False
    )


def assert_told(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode not in (0, -6, -9, -11), done
    assert done.stderr.startswith("error: ") or done.stderr.startswith("Usage: "), done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_a_taken_port_says_by_whom_and_what_to_do(server: ServerProcess, tmp_path: Path):
    told = serve("--port", str(server.port), "--data", str(tmp_path / "data"))
    assert_told(told, str(server.port), "taken", "--port")
    assert not (tmp_path / "data").exists()


def test_a_data_folder_that_another_server_holds_says_by_whom(server: ServerProcess):
    assert_told(serve("--port", "0", "--data", str(server.data)), str(server.data), f"process {server.pid}")


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path):
    file = tmp_path / "file"
    file.write_text("no folder")
    assert_told(serve("--port", "0", "--data", str(file)), str(file), "not a folder")
    assert_told(serve("--port", "0", "--data", str(file / "below")), str(file), "not a folder")
    # Nobody may make folders in /proc, root included.
    if Path("/proc/self").exists():
        assert_told(serve("--port", "0", "--data", "/proc/busway"), "/proc/busway")
    assert file.read_text() == "no folder"


@pytest.mark.needs("root")
def test_a_read_only_disk_is_named(tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"nothing can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        assert_told(serve("--port", "0", "--data", str(disk / "data")), str(disk), "Read-only file system")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


async def test_data_of_a_newer_version_is_left_alone(tmp_path: Path):
    server = ServerProcess(tmp_path / "data", free_port())
    server.start()
    client(server, "sqs").create_queue(QueueName="kept")
    assert server.stop() == 0
    file = server.data / "busway.db"
    database = sqlite3.connect(file)
    (version,) = database.execute("PRAGMA user_version").fetchone()
    database.execute("PRAGMA user_version = 999")
    database.close()
    before = file.read_bytes()
    assert_told(serve("--port", "0", "--data", str(server.data)), "999", "newer Busway")
    assert file.read_bytes() == before
    database = sqlite3.connect(file)
    database.execute(f"PRAGMA user_version = {version}")
    database.close()
    server.start()
    assert client(server, "sqs").get_queue_url(QueueName="kept")["QueueUrl"]
    assert server.stop() == 0
    assert (await report_of_folder(server.data))["ok"]


@pytest.mark.parametrize("content", [b"", b"no database" * 1000, b"SQLite format 3\x00" + b"\xff" * 9000])
def test_a_file_that_is_no_database_is_told(tmp_path: Path, content: bytes):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "busway.db").write_bytes(content)
    if not content:
        # SQLite takes an empty file for a new database, and nothing was in it.
        server = ServerProcess(tmp_path / "data", free_port())
        server.start()
        assert server.stop() == 0
        return
    assert_told(serve("--port", "0", "--data", str(tmp_path / "data")), str(tmp_path / "data"))
    assert (tmp_path / "data" / "busway.db").read_bytes() == content


def test_a_folder_that_no_server_wrote_proves_nothing_and_stays_as_it_is(tmp_path: Path):
    command = [sys.executable, "-m", "busway", "verify", "--data", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert_told(done, str(tmp_path), "found no busway.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flag", [("--port", "many"), ("--port", "70000"), ("--host", "0.0.0.0"), ("--engine", "x")])
def test_a_bad_setting_is_named(tmp_path: Path, flag: tuple[str, str]):
    done = serve("--port", "0", "--data", str(tmp_path / "data"), *flag)
    assert_told(done)
    assert flag[0] in done.stderr or flag[1] in done.stderr


def test_a_bad_variable_is_named(tmp_path: Path):
    done = serve("--port", "0", "--data", str(tmp_path / "data"), BUSWAY_WORKERS_MAX="many")
    assert_told(done, "BUSWAY_WORKERS_MAX", "many")
