"""The lines that the service itself writes into a function's log, in AWS's words. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from busway.function.invocation.letters import error_message
from busway.function.workers.crew import Run
from busway.function.workers.worker import TIMED_OUT, billed_ms


def start_line(request_id: str, version: str) -> str:
    return f"START RequestId: {request_id} Version: {version}"


# What an error that the server words has at its front where no event was handed over.
_NO_REQUEST = b"RequestId:  Error: "


def addressed(run: Run, request_id: str) -> Run:
    """A failed start as the invocation's own: the error names its request."""
    if not run.in_init:
        return run
    body = run.answer.body.replace(_NO_REQUEST, f"RequestId: {request_id} Error: ".encode(), 1)
    return replace(run, answer=replace(run.answer, body=body))


def init_lines(request_id: str, version: str, run: Run) -> tuple[str, ...]:
    """What stands before the closing lines of an invocation whose worker failed to start; nothing for others.

    https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html (Failures during the Init phase)
    """
    if not run.in_init:
        return ()
    kind = run.answer.kind or ""
    status = "timeout" if kind == TIMED_OUT else f"error\tError Type: {kind}"
    report = f"INIT_REPORT Init Duration: {run.duration_s * 1000:.2f} ms\tPhase: init\tStatus: {status}"
    return report, start_line(request_id, version)


def closing_lines(request_id: str, run: Run) -> tuple[str, ...]:
    """What follows an invocation: why it was ended, where the handler could not say so, then END and REPORT."""
    return (*_explained(request_id, run), f"END RequestId: {request_id}", report_line(request_id, run))


def _explained(request_id: str, run: Run) -> tuple[str, ...]:
    message = error_message(run.answer.body) if run.answer.kind else ""
    # What the runtime reported it printed; this is for a process that ended, or was.
    told = (f"{message} {run.answer.kind}",) if message.startswith(f"RequestId: {request_id} Error: ") else ()
    if run.in_init and not told:
        # It was printed when nobody knew for whom the worker started.
        told = (f"[ERROR] {run.answer.kind}: {message}",)
    return (*told, *run.remarks)


def report_line(request_id: str, run: Run) -> str:
    """AWS's REPORT line."""
    init_s = None if run.in_init else run.init_s
    billed = billed_ms(run.duration_s + (init_s or 0.0))
    line = (
        f"REPORT RequestId: {request_id}\tDuration: {run.duration_s * 1000:.2f} ms\tBilled Duration: {billed} ms\t"
        f"Memory Size: {run.memory_mb} MB\tMax Memory Used: {-(-run.memory_bytes // 1_048_576)} MB\t"
    )
    if init_s is not None:
        line += f"Init Duration: {init_s * 1000:.2f} ms\t"
    if run.answer.kind == TIMED_OUT:
        line += "Status: timeout"
    elif run.answer.kind is not None and (run.in_init or run.answer.kind.startswith("Runtime.")):
        line += f"Status: error\tError Type: {run.answer.kind}"
    return line
