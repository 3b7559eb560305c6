"""One trace through a real server: headers in, handlers that publish in two languages, headers out, the picture."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from .packages import ROOT, npm_installed, packed
from .whole_server import BIN, ROLE, WholeServer, rule_to_queue, until, whole_server, zipped

TRACE, SPAN = "7bf7312914284cd3a78095db273d1602", "53995c3f42cd8ad8"
TRACE_ROOT = "1-7bf73129-14284cd3a78095db273d1602"
OTHER = f"00-{'3' * 32}-{SPAN}-01"

PYTHON = """
    import os
    from busway import publish

    def handler(event, context):
        print("was given", os.environ["_X_AMZN_TRACE_ID"])
        publish({"Source": "shop", "DetailType": os.environ["NEXT"], "Detail": "{}"})
"""
NODE = """
    const { EventBridgeClient, PutEventsCommand } = require("@aws-sdk/client-eventbridge");
    const client = new EventBridgeClient({});
    exports.handler = async () => {
      console.log("was given", process.env._X_AMZN_TRACE_ID);
      const entry = { Source: "shop", DetailType: process.env.NEXT, Detail: "{}" };
      await client.send(new PutEventsCommand({ Entries: [entry] }));
    };
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeServer]:
    with whole_server(tmp_path_factory.mktemp("traces")) as server:
        yield server


def handler(server: WholeServer, name: str, on: str, code: Mapping[str, Any], **environment: str) -> None:
    """A function, and the rule that gives it the events of one type."""
    function = server.client("lambda").create_function(
        FunctionName=name, Role=ROLE, Timeout=20, Environment={"Variables": environment}, **code
    )["FunctionArn"]  # fmt: skip
    events = server.client("events")
    events.put_rule(Name=name, EventPattern=json.dumps({"detail-type": [on]}))
    events.put_targets(Rule=name, Targets=[{"Id": "f", "Arn": function}])


def in_python(source: str = PYTHON) -> dict[str, Any]:
    return {"Runtime": "python3.13", "Handler": "app.handler", "Code": {"ZipFile": zipped(source)}}


def in_node() -> dict[str, Any]:
    return {"Runtime": "nodejs22.x", "Handler": "index.handler", "Code": {"ZipFile": packed({"index.js": NODE})}}


def put(server: WholeServer, detail_type: str, *, trace: str = "", **headers: str) -> str:
    """Put an event, with `headers` as HTTP headers of the request; its id."""
    client = server.client("events")

    def add(request: Any, **_: Any) -> None:
        for name, value in headers.items():
            request.headers[name.replace("_", "-")] = value

    client.meta.events.register("before-send", lambda request, **_: add(request))
    entry = {"Source": "shop", "DetailType": detail_type, "Detail": "{}", **({"TraceHeader": trace} if trace else {})}
    (result,) = client.put_events(Entries=[entry])["Entries"]
    return result["EventId"]


def message(server: WholeServer, url: str) -> dict[str, Any]:
    received = server.client("sqs").receive_message(
        QueueUrl=url, WaitTimeSeconds=20, MessageSystemAttributeNames=["All"]
    )
    (found,) = received["Messages"]
    server.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=found["ReceiptHandle"])
    return found


def published(event: Mapping[str, Any]) -> list[dict[str, Any]]:
    attempts = [one for delivery in event["deliveries"] for one in delivery["attempts_seen"]]
    return [inner for attempt in attempts for inner in attempt.get("published", [])]


def whole_chain(server: WholeServer, event_id: str) -> dict[str, Any] | None:
    """The trace, once everything in it has been delivered."""
    told = server.busway("trace", event_id)
    waiting, states = list(told["events"]), []
    while waiting:
        event = waiting.pop()
        states += [delivery["state"] for delivery in event["deliveries"]]
        waiting += published(event)
    return told if told["told"] == 3 and set(states) == {"delivered"} else None


def check_chain(server: WholeServer, names: tuple[str, str, str], queue: str) -> None:
    event_id = put(server, names[0])
    found = message(server, queue)
    header = found["Attributes"]["AWSTraceHeader"]
    assert header.startswith(f"Root=1-{event_id[:8]}-{event_id[8:].replace('-', '')};Parent=")
    last_id = json.loads(found["Body"])["id"]
    told = until(lambda: whole_chain(server, event_id), "all three events are delivered")
    (first,) = told["events"]
    (second,) = published(first)
    (third,) = published(second)
    assert tuple(event["detail_type"] for event in (first, second, third)) == names
    assert third["event_id"] == last_id
    assert (told["since"], told["until"]) == (None, None)
    attempt = first["deliveries"][0]["attempts_seen"][0]
    given = attempt["lines_first"][0]
    # What it published came from the very attempt that it was told to be.
    assert f"Parent={attempt['span']}" in given and second["parent"] == attempt["span"]
    assert server.busway("trace", last_id)["events"] == told["events"]
    assert server.busway("trace", told["root"])["events"] == told["events"]
    drawn = server.run(BIN / "busway", "trace", event_id, COLUMNS="80")
    assert drawn.returncode == 0, drawn.stderr
    rows = drawn.stdout.splitlines()
    places = [next(place for place, row in enumerate(rows) if name in row) for name in names]
    assert places == sorted(places)
    assert max(map(len, rows)) <= 80


def test_two_handlers_in_a_row_make_one_trace(server: WholeServer):
    handler(server, "take", "Order Placed", in_python(), NEXT="Receipt Asked")
    handler(server, "write", "Receipt Asked", in_python(), NEXT="Receipt Sent")
    queue = rule_to_queue(server, "sent", '{"detail-type": ["Receipt Sent"]}')
    check_chain(server, ("Order Placed", "Receipt Asked", "Receipt Sent"), queue)


@pytest.mark.needs("node")
def test_a_handler_in_javascript_goes_on_with_it_by_aws_s_sdk(tmp_path: Path):
    modules = npm_installed("node", ROOT / "tests" / "node") / "node_modules"
    with whole_server(tmp_path, function_folders=str(modules)) as server:
        handler(server, "take", "Order Placed", in_node(), NEXT="Receipt Asked", NODE_PATH=str(modules))
        handler(server, "write", "Receipt Asked", in_python(), NEXT="Receipt Sent")
        queue = rule_to_queue(server, "sent", '{"detail-type": ["Receipt Sent"]}')
        check_chain(server, ("Order Placed", "Receipt Asked", "Receipt Sent"), queue)


def test_a_queue_and_its_function_go_on_with_it(server: WholeServer):
    queue = rule_to_queue(server, "jobs", '{"detail-type": ["Job Asked"]}')
    sqs, functions = server.client("sqs"), server.client("lambda")
    functions.create_function(
        FunctionName="work", Role=ROLE, Timeout=20, Environment={"Variables": {"NEXT": "Job Done"}}, **in_python()
    )
    source = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    functions.create_event_source_mapping(EventSourceArn=source, FunctionName="work")
    done = rule_to_queue(server, "done", '{"detail-type": ["Job Done"]}')
    event_id = put(server, "Job Asked")
    assert message(server, done)["Attributes"]["AWSTraceHeader"].startswith(f"Root=1-{event_id[:8]}-")

    def followed() -> Any:
        (event,) = server.busway("trace", event_id)["events"]
        consumers = [one for delivery in event["deliveries"] for one in delivery["consumers"]]
        tries = [attempt for one in consumers for attempt in one["attempts_seen"]]
        return [inner["detail_type"] for attempt in tries for inner in attempt.get("published", [])]

    assert until(followed, "the batch is noted") == ["Job Done"]


def test_what_a_destination_is_told_belongs_to_the_attempt(server: WholeServer):
    handler(server, "quiet", "Quiet", in_python("def handler(event, context):\n    return 1\n"))
    bus = server.client("events").describe_event_bus()["Arn"]
    server.client("lambda").put_function_event_invoke_config(
        FunctionName="quiet", DestinationConfig={"OnSuccess": {"Destination": bus}}
    )
    event_id = put(server, "Quiet")

    def told() -> Any:
        (event,) = server.busway("trace", event_id)["events"]
        return [inner["detail_type"] for inner in published(event)]

    assert until(told, "the record is an event") == ["Lambda Function Invocation Result - Success"]


@pytest.mark.parametrize(
    ("trace", "headers", "wanted"),
    [
        ("", {"traceparent": f"00-{TRACE}-{SPAN}-01"}, f"Root={TRACE_ROOT};Parent={SPAN};Sampled=1"),
        ("", {"X_Amzn_Trace_Id": f"Root={TRACE_ROOT};Sampled=0"}, f"Root={TRACE_ROOT};Sampled=0"),
        (
            f"Root=1-11111111-{'2' * 24}",
            {"X_Amzn_Trace_Id": f"Root={TRACE_ROOT}", "traceparent": OTHER},
            f"Root=1-11111111-{'2' * 24}",
        ),
        ("", {"X_Amzn_Trace_Id": f"Root={TRACE_ROOT}", "traceparent": OTHER}, f"Root={TRACE_ROOT}"),
        ("", {"traceparent": "00-nonsense"}, None),
        ("Root=nonsense", {}, None),
        ("", {"X_Amzn_Trace_Id": "nonsense"}, None),
    ],
    ids=["W3C's", "X-Ray's", "the entry's own wins", "X-Ray's before W3C's", "bad W3C", "bad entry", "bad X-Ray"],
)  # fmt: skip
def test_the_trace_that_came_with_an_event_is_what_a_queue_gets(
    server: WholeServer, trace: str, headers: dict[str, str], wanted: str | None
):
    queue = rule_to_queue(server, "headers", '{"detail-type": ["Header"]}')
    event_id = put(server, "Header", trace=trace, **headers)
    own = f"Root=1-{event_id[:8]}-{event_id[8:].replace('-', '')};Sampled=0"
    assert message(server, queue)["Attributes"]["AWSTraceHeader"] == (wanted or own)


def test_a_dead_letter_and_its_handlers_error_are_in_the_picture(server: WholeServer):
    broken = "def handler(event, context):\n    raise RuntimeError('no SMTP server')\n"
    handler(server, "broken", "Broken", in_python(broken))
    event_id = put(server, "Broken")

    def ended() -> Any:
        (event,) = server.busway("trace", event_id)["events"]
        return [one for one in event["deliveries"] if one["state"] == "dead-lettered"]

    (delivery,) = until(ended, "it is given up")
    assert [one["outcome"] for one in delivery["attempts_seen"]] == ["failed"] * 3
    drawn = server.run(BIN / "busway", "trace", event_id, COLUMNS="80").stdout
    assert "[ERROR] RuntimeError: no SMTP server" in drawn
    assert "dead letter" in drawn
    assert "in busway-undeliverable-default; `busway redrive broken`" in drawn


def test_a_trace_that_is_not_there_is_an_error_with_a_hint(server: WholeServer):
    done = server.run(BIN / "busway", "trace", "a" * 32)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: no event of the trace {'a' * 32} is among the newest ")
    assert "\nhint: at most " in done.stderr
