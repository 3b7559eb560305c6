"""Manifests to make templates of: one with everything, and as many as Hypothesis thinks of."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from msgspec import structs

from busway.road.aws.function import Code
from busway.road.manifest import BatchEntry, HandlerEntry, Manifest
from busway.road.rule_jobs import BatchParameters
from busway.road.rules import RuleEntry, RuleFile, RuleTarget

STREAM = BatchEntry(source="stream", size=100, window_s=5, parallelism=None, bisect=True, order_by="$.detail.id")
QUEUE = BatchEntry(source="queue", size=20, window_s=5, parallelism=4, bisect=True, order_by=None)
ARNS = {
    "batch": "arn:aws:batch:eu-west-1:123456789012:job-queue/jobs",
    "glue": "arn:aws:glue:eu-west-1:123456789012:workflow/nightly",
    "sagemaker": "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/train",
    "states": "arn:aws:states:eu-west-1:123456789012:stateMachine:order",
    "lambda": "arn:aws:lambda:eu-west-1:123456789012:function:other",
    "sns": "arn:aws:sns:eu-west-1:123456789012:news",
}


def handler_entry(name: str = "send-receipt", **changes: Any) -> HandlerEntry:
    entry = HandlerEntry(
        name=name,
        file=f"handlers/{name}/handler.py",
        entry_point=f"handlers.{name.replace('-', '_')}.handler.handle",
        event="OrderPlaced",
        pattern={"source": ["shop"], "detail-type": ["Order Placed"]},
        retries=1,
        max_age_s=7200,
        timeout_s=30,
        memory_mb=256,
        alert=None,
        env=[],
    )
    return structs.replace(entry, **changes)


def rule(name: str, *targets: RuleTarget, alert: str | None = None) -> RuleEntry:
    file = RuleFile(event_pattern={"source": ["shop"]}, targets=list(targets), alert=alert)
    return RuleEntry(name=name, file=f"rules/{name}.json", rule=file)


def target_of(service: str) -> RuleTarget:
    job = BatchParameters(job_definition="resize", job_name="one") if service == "batch" else None
    return RuleTarget(arn=ARNS[service], batch_parameters=job)


EVERYTHING = Manifest(
    project="shop",
    bus="orders",
    events=[],
    handlers=[
        handler_entry(alert="pagerduty", env=["LEVEL"], secrets=["STRIPE_KEY"], concurrency=3),
        handler_entry("ledger", batch=STREAM, once=False, max_age_s=200_000, alert="datadog"),
        handler_entry("mail-all", batch=QUEUE, once=False, permissions={"ses:SendEmail": ["*"]}),
        handler_entry("nightly", schedule="cron(0 2 * * ? *)", once=False),
        handler_entry("in-node", runtime="nodejs22.x", code=".busway/build/in-node"),
    ],
    rules=[
        rule(
            "audit", RuleTarget(queue="audit"), RuleTarget(stream="all"), RuleTarget(bus="others"), alert="pagerduty"
        ),
        rule("big", RuleTarget(queue="audit"), RuleTarget(handler="nightly"), target_of("lambda"), target_of("sns")),
        rule("jobs", *(target_of(service) for service in ("batch", "glue", "sagemaker", "states"))),
    ],
)


def codes_of(manifest: Manifest) -> dict[str, Code]:
    return {entry.name: Code(f"code/{entry.name}.zip", entry.entry_point) for entry in manifest.handlers}


# Names that differ little, as those do that could meet in a logical id.
NAMES = st.text("aAbB-_1", min_size=1, max_size=6) | st.sampled_from(
    ["send-receipt", "send_receipt", "SendReceipt", "dead-letters", "a-target1", "function", "batch-stream", "once"]
)
VARIABLES = st.sampled_from(["LEVEL", "LEVEL_", "level", "LEDGER_URL", "LEDGERURL"])
_BATCHES = st.none() | st.builds(
    BatchEntry,
    source=st.just("stream"),
    size=st.integers(1, 10_000),
    window_s=st.integers(0, 300),
    parallelism=st.none() | st.integers(1, 10),
    bisect=st.booleans(),
    order_by=st.none() | st.just("$.detail.id"),
)
_TARGETS = (
    st.builds(RuleTarget, queue=st.sampled_from(["audit", "Audit", "audit-1"]))
    | st.builds(RuleTarget, stream=st.sampled_from(["audit", "all.events"]))
    | st.builds(RuleTarget, bus=st.sampled_from(["default", "orders", "others"]))
    | st.sampled_from(list(ARNS)).map(target_of)
)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    cut = draw(st.integers(1, len(names)))
    routes = st.none() | st.sampled_from(["pagerduty", "PagerDuty", "data-dog"])
    handlers = [
        handler_entry(
            name,
            retries=draw(st.integers(0, 2)),
            max_age_s=draw(st.integers(60, 21_600)),
            timeout_s=draw(st.integers(1, 900)),
            memory_mb=draw(st.integers(128, 10_240)),
            alert=draw(routes),
            env=draw(st.lists(VARIABLES, max_size=3, unique=True)),
            secrets=draw(st.lists(st.sampled_from(["KEY", "TOKEN"]), max_size=2, unique=True)),
            once=draw(st.booleans()),
            schedule=draw(st.none() | st.just("rate(5 minutes)")),
            concurrency=draw(st.none() | st.integers(1, 1_000)),
            batch=draw(_BATCHES),
        )
        for name in names[:cut]
    ]
    handlers = [structs.replace(one, schedule=None) if one.batch else one for one in handlers]
    rules = [
        rule(name, *draw(st.lists(_TARGETS, min_size=1, max_size=5)), alert=draw(routes)) for name in names[cut:]
    ]
    bus = draw(st.sampled_from(["default", "orders"]))
    return Manifest(project="shop", bus=bus, events=[], handlers=handlers, rules=rules)
