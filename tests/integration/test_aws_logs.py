"""`tail`, `why` and `logs` of a project on AWS: a second server of ours stands in for AWS, reached as AWS is."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from .deployed import LETTERS, NAME, Deployed, deployed_project
from .whole_server import BIN, PATIENCE_S, REGION, ROLE, arn, zipped

SOURCE = """
def handler(event, context):
    total = event["detail"]["total"]
    if total != 7:
        print("handling", event["id"])
    print("total is", total)
    if total > 100:
        raise ValueError(f"{total} is too much")
"""
MUTE = SOURCE.replace("total != 7", "False")
OTHER = "shop-prod-other"
BUS_LOG = "/aws/vendedlogs/events/event-bus/default"
CAME = {"source": "shop", "detail_type": "Order Placed", "resources": []}
MATCH = {"rule_arn": arn("events", f"rule/{NAME}"), "target_arns": [arn("lambda", f"function:{NAME}")]}
ENDED = {"rule_arn": arn("events", f"rule/{NAME}"), "target_arn": arn("lambda", f"function:{NAME}")}


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with deployed_project(tmp_path_factory.mktemp("home"), SOURCE) as project:
        project.server.client("lambda").put_function_event_invoke_config(FunctionName=NAME, MaximumRetryAttempts=1)
        yield project


def handled(deployed: Deployed, total: int) -> str:
    """The id of an order, once its attempt has ended."""
    before = ended(deployed)
    detail = json.dumps({"order-id": "o", "total": total})
    entry = {"Source": "shop", "DetailType": "Order Placed", "Detail": detail}
    put = deployed.server.client("events").put_events(Entries=[entry])
    deployed.until(lambda: ended(deployed) > before, "the end of the attempt")
    return put["Entries"][0]["EventId"]


def ended(deployed: Deployed) -> int:
    logs = deployed.server.client("logs")
    if not logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{NAME}")["logGroups"]:
        return 0
    return len(logs.filter_log_events(logGroupName=f"/aws/lambda/{NAME}", filterPattern="REPORT")["events"])


def logged_by_the_bus(
    deployed: Deployed, event_id: str, *steps: tuple[str, dict[str, Any]], at: float | None = None
) -> None:
    """What EventBridge writes where the bus's log is on; a Busway server writes none."""
    logs, place = (
        deployed.server.client("logs"),
        {"logGroupName": BUS_LOG, "logStreamName": "EventBridgeEventBusLogs"},
    )
    if not logs.describe_log_groups(logGroupNamePrefix=BUS_LOG)["logGroups"]:
        logs.create_log_group(logGroupName=BUS_LOG)
        logs.create_log_stream(**place)
    about = {"resource_arn": arn("events", "event-bus/default"), "event_id": event_id, "log_level": "TRACE"}
    records = [{**about, "message_type": kind, "details": details} for kind, details in steps]
    at_ms = round((time.time() if at is None else at) * 1000)
    logs.put_log_events(**place, logEvents=[{"timestamp": at_ms, "message": json.dumps(one)} for one in records])


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_project_without_functions_there_says_so_and_where_it_looked(deployed: Deployed):
    told = deployed.run("tail", "--profile", "ops", "--once", "--region", "us-east-1")
    assert told.returncode == 1 and "us-east-1 has no log groups /aws/lambda/shop-prod-" in told.stderr
    assert "hint: `busway status prod`" in told.stderr


def test_tail_tells_each_attempt_from_its_beginning_to_its_end(deployed: Deployed):
    handled(deployed, 5)
    deployed.failed(500)
    deployed.emptied()
    done = deployed.run("tail", "--profile", "ops", "--since", "10m", "--once", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    steps = json_lines(done.stdout)
    assert [step["kind"] for step in steps if step["kind"] != "printed"] == [
        "attempt", "ended", "attempt", "failed", "attempt", "failed",
    ]  # fmt: skip
    assert {step["function"] for step in steps} == {NAME}
    failed = steps[-1]
    assert (failed["error_code"], failed["error_message"]) == ("ValueError", "500 is too much")
    assert failed["request_id"] and failed["duration_ms"] > 0
    assert "total is 500" in {step.get("line") for step in steps}
    shown = deployed.run("tail", "--profile", "ops", "--since", "10m", "--once", "--kind", "failed", "--count", "1")
    first, second = shown.stdout.splitlines()
    assert f"{failed['request_id'][:8]}  failed         {NAME} after " in first
    assert second.strip() == "└ ValueError: 500 is too much"


def test_tail_follows_what_comes_and_functions_that_are_deployed_meanwhile(deployed: Deployed):
    command = [BIN / "busway", "tail", "--profile", "ops", "--kind", "ended", "--count", "2", "--json"]
    following = subprocess.Popen(
        command, cwd=deployed.root, env=deployed.server.environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert following.stderr is not None
        assert f"following the functions of prod in {REGION}" in following.stderr.readline()
        handled(deployed, 6)
        functions = deployed.server.client("lambda")
        code = {"ZipFile": zipped("def handler(event, context): pass")}
        functions.create_function(
            FunctionName=OTHER, Runtime="python3.12", Role=ROLE, Handler="app.handler", Code=code
        )
        functions.get_waiter("function_active_v2").wait(FunctionName=OTHER)
        functions.invoke(FunctionName=OTHER)
        out, _ = following.communicate(timeout=PATIENCE_S)
    finally:
        following.kill()
        following.wait()
    assert [step["function"] for step in json_lines(out)] == [NAME, OTHER]


def test_why_tells_each_attempt_of_an_event_and_its_dead_letter(deployed: Deployed):
    (event_id,) = deployed.failed(600)
    found = deployed.json("why", event_id)
    (invocation,) = found["invocations"]
    assert [(one["outcome"], one["error_code"], one["error_message"]) for one in invocation["attempts"]] == [
        ("failed", "ValueError", "600 is too much"),
    ] * 2
    texts = [line["line"] for line in invocation["attempts"][1]["lines"]]
    assert texts[:2] == [f"handling {event_id}", "total is 600"]
    (letter,) = found["letters"]
    assert (letter["queue"], letter["request_id"]) == (LETTERS, invocation["request_id"])
    shown = deployed.run("why", event_id, "--profile", "ops")
    assert shown.returncode == 0
    assert f"{NAME}: failed after 2 attempts, request {invocation['request_id']}" in shown.stdout
    assert "ValueError: 600 is too much" in shown.stdout and "│ total is 600" in shown.stdout
    assert f"`busway redrive one --event {event_id} --profile ops` sends it back" in shown.stdout
    again = deployed.json("why", "--request-id", invocation["request_id"])
    assert (again["invocations"], again["letters"]) == (found["invocations"], found["letters"])
    deployed.emptied()


def test_why_tells_of_an_event_that_went_well(deployed: Deployed):
    found = deployed.json("why", handled(deployed, 8))
    ((attempt,),) = [invocation["attempts"] for invocation in found["invocations"]]
    assert (attempt["outcome"], attempt["error_code"], found["letters"]) == ("ok", "", [])


def test_a_handler_that_does_not_print_the_event_is_found_by_its_dead_letter(deployed: Deployed):
    functions = deployed.server.client("lambda")
    functions.update_function_code(FunctionName=NAME, ZipFile=zipped(MUTE))
    functions.get_waiter("function_updated_v2").wait(FunctionName=NAME)
    (event_id,) = deployed.failed(700)
    (invocation,) = deployed.json("why", event_id)["invocations"]
    assert invocation["attempts"][0]["lines"][0]["line"] == "total is 700"
    deployed.emptied()
    functions.update_function_code(FunctionName=NAME, ZipFile=zipped(SOURCE))
    functions.get_waiter("function_updated_v2").wait(FunctionName=NAME)


def test_of_what_nothing_names_is_said_where_and_how_far_back_was_looked(deployed: Deployed):
    event_id = handled(deployed, 7)
    told = deployed.run("why", event_id, "--profile", "ops", "--since", "2h")
    assert (told.returncode, told.stdout) == (1, "")
    assert f"nothing names {event_id}: searched were the last 2h of /aws/lambda/{NAME}" in told.stderr
    assert "must print the event's id" in told.stderr and "--request-id" in told.stderr
    found = deployed.json("why", event_id, code=1)
    assert (found["invocations"], found["letters"], found["lines"]) == ([], [], [])
    assert f"/aws/lambda/{NAME}" in found["groups"]


def test_logs_shows_a_handler_s_lines_and_finds_some(deployed: Deployed):
    handled(deployed, 9)
    found = json_lines(deployed.run("logs", "one", "--profile", "ops", "--since", "1h", "--json").stdout)
    (line,) = [one for one in found if one["line"] == "total is 9"]
    assert line["request_id"] and line["at"] > 0
    filtered = deployed.run("logs", "one", "--profile", "ops", "--filter", '"total is 9"')
    (only,) = filtered.stdout.splitlines()
    # Whose it is, tells a line that the pattern left out.
    assert only.endswith(f"{line['request_id'][:8]}  total is 9")
    last = json_lines(deployed.run("logs", "one", "--profile", "ops", "--limit", "1", "--json").stdout)
    assert [one["line"].split()[0] for one in last] == ["REPORT"]
    nothing = deployed.run("logs", "one", "--profile", "ops", "--filter", "nowhere")
    assert (nothing.returncode, nothing.stdout) == (0, "") and "in the last 10m" in nothing.stderr
    unknown = deployed.run("logs", "nope", "--profile", "ops")
    assert unknown.returncode == 1 and "the environment prod has no handler 'nope'; it has one" in unknown.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("tail", "--once"), "--profile is missing"),
        (("tail", "--since", "10m"), "wanted the sequence of a step, or --profile with it"),
        (("tail", "--profile", "ops", "--kind", "matched"), "a log on AWS has no steps that are matched"),
        (("tail", "--profile", "ops", "--event", "e"), "busway why EVENT"),
        (("why", "--request-id", "r"), "--profile is missing"),
        (("why", "--profile", "ops"), "EVENT is missing, or --request-id"),
        (("why", 'a"b', "--profile", "ops"), "is no id"),
        (("why", "e", "--profile", "ops", "--since", "often"), "is no duration"),
        (("logs", "one", "--profile", "ops", "--request-id", "r"), "busway why --request-id"),
    ],
)
def test_what_does_not_go_together_is_said_before_anything_is_asked(
    deployed: Deployed, words: tuple[str, ...], told: str
):
    done = deployed.run(*words)
    assert done.returncode == 2 and told in done.stderr


def test_why_tells_which_rules_matched_where_the_bus_has_a_log(deployed: Deployed):
    event_id = handled(deployed, 9)
    steps = [("EVENT_RECEIPT", CAME), ("RULE_MATCH", MATCH), ("INVOCATION_SUCCESS", ENDED)]
    logged_by_the_bus(deployed, event_id, *steps)
    (passage,) = deployed.json("why", event_id)["passages"]
    assert (passage["bus"], passage["matched"]) == ("default", [NAME])
    shown = deployed.run("why", event_id, "--profile", "ops").stdout
    assert "Order Placed from shop on bus default" in shown
    assert f"rule {NAME} -> {NAME}: delivered" in shown and f"{NAME}: ok after 1 attempt" in shown


def test_why_tells_which_rule_was_closest_to_an_event_that_the_log_has_whole(deployed: Deployed):
    event_id = "00000000-0000-4000-8000-00000000c105"
    came = {**CAME, "source": "Shop", "event_detail": "{}"}
    logged_by_the_bus(deployed, event_id, ("EVENT_RECEIPT", came), ("NO_STANDARD_RULES_MATCHED", came))
    shown = deployed.run("why", event_id, "--profile", "ops")
    assert shown.returncode == 0, shown.stderr
    assert "No rule matched, so it went to nobody." in shown.stdout
    assert f"Closest: rule {NAME}" in shown.stdout and 'the pattern\'s "shop" differ by' in shown.stdout
    assert "edit the pattern so that it matches:" in shown.stdout and "(upper and lower case)" in shown.stdout
    drawn = deployed.run("trace", event_id, "--profile", "ops")
    assert f"no rule matched it; the closest is {NAME}" in drawn.stdout


def test_of_events_that_are_handled_at_the_same_time_each_has_its_own_lines_and_end(deployed: Deployed):
    before = ended(deployed)
    details = [json.dumps({"order-id": "o", "total": total}) for total in (1, 901, 2, 902)]
    entries = [{"Source": "shop", "DetailType": "Order Placed", "Detail": detail} for detail in details]
    put = deployed.server.client("events").put_events(Entries=entries)["Entries"]
    deployed.until(lambda: ended(deployed) >= before + 6, "the end of all attempts")
    for entry, total, outcomes in zip(put, (1, 901, 2, 902), (["ok"], ["failed"] * 2) * 2, strict=True):
        (invocation,) = deployed.json("why", entry["EventId"])["invocations"]
        assert [one["outcome"] for one in invocation["attempts"]] == outcomes
        texts = [line["line"] for one in invocation["attempts"] for line in one["lines"]]
        assert {text for text in texts if text.startswith("total is")} == {f"total is {total}"}
    deployed.until(lambda: deployed.waiting() == 2, "the dead letters")
    deployed.emptied()


def test_trace_draws_an_event_from_its_match_to_the_alarm_that_rang(deployed: Deployed):
    began = time.time()
    (event_id,) = deployed.failed(800)
    steps = [("EVENT_RECEIPT", CAME), ("RULE_MATCH", MATCH), ("INVOCATION_SUCCESS", ENDED)]
    logged_by_the_bus(deployed, event_id, *steps, at=began)
    alarms = deployed.server.client("cloudwatch")
    alarms.set_alarm_state(AlarmName=LETTERS, StateValue="OK", StateReason="seen")
    alarms.set_alarm_state(AlarmName=LETTERS, StateValue="ALARM", StateReason="a dead letter")
    done = deployed.run("trace", event_id, "--profile", "ops")
    assert done.returncode == 0, done.stderr
    rows = [row.rstrip() for row in done.stdout.splitlines()]
    expected = [
        f"{event_id} in prod, {REGION}", "Order Placed ", f"{event_id} from shop on bus default",
        f"  rule {NAME} -> {NAME}  dead-lettered", "    try 1  failed", f"      │ handling {event_id}",
        "    try 2  failed", "    dead letter ", f"      in {LETTERS}; `busway redrive one --profile ops`",
        f"    alarm {LETTERS} in ALARM ",
    ]  # fmt: skip
    places = [next((n for n, row in enumerate(rows) if row.startswith(part)), -1) for part in expected]
    assert -1 not in places and places == sorted(places), done.stdout
    assert [sum(mark in row for row in rows) for mark in "●×■!"] == [1, 2, 1, 1], done.stdout
    (told,) = deployed.json("trace", event_id)["events"]
    (delivery,) = told["deliveries"]
    outcomes = [one["outcome"] for one in delivery["attempts_seen"]]
    assert (delivery["state"], outcomes) == ("dead-lettered", ["failed", "failed"])
    assert [(one["alarm"], one["state"]) for one in delivery["alarms"]] == [(LETTERS, "ALARM")]
    deployed.emptied()


def test_trace_without_a_log_of_the_bus_draws_what_the_functions_logged_and_says_what_is_missing(deployed: Deployed):
    done = deployed.run("trace", handled(deployed, 11), "--profile", "ops")
    assert done.returncode == 0 and f"-> {NAME}  delivered" in done.stdout and "│ total is 11" in done.stdout
    assert "no log of the bus tells of it" in done.stderr


def test_trace_of_what_nothing_names_says_where_was_looked(deployed: Deployed):
    told = deployed.run("trace", "00000000-0000-4000-8000-00000000dead", "--profile", "ops")
    assert (told.returncode, told.stdout) == (
        1,
        "",
    ) and "nothing names 00000000-0000-4000-8000-00000000dead" in told.stderr
    assert deployed.run("trace", "--profile", "ops").returncode == 2
