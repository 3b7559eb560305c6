"""The lines that the service itself writes into a function's log, in AWS's words. Pure."""

from __future__ import annotations

from busway.function.invocation.letters import error_message
from busway.function.workers.crew import Run
from busway.function.workers.worker import billed_ms


def start_line(request_id: str, version: str) -> str:
    return f"START RequestId: {request_id} Version: {version}"


def closing_lines(request_id: str, run: Run) -> tuple[str, ...]:
    """What follows an invocation: why it was ended, where the handler could not say so, then END and REPORT."""
    return (*_explained(request_id, run), f"END RequestId: {request_id}", report_line(request_id, run))


def _explained(request_id: str, run: Run) -> tuple[str, ...]:
    message = error_message(run.answer.body) if run.answer.kind else ""
    # What the runtime reported it printed; this is for a process that ended, or was.
    told = (f"{message} {run.answer.kind}",) if message.startswith(f"RequestId: {request_id} Error: ") else ()
    return (*told, *run.remarks)


def report_line(request_id: str, run: Run) -> str:
    """AWS's REPORT line."""
    billed = billed_ms(run.duration_s + (run.init_s or 0.0))
    line = (
        f"REPORT RequestId: {request_id}\tDuration: {run.duration_s * 1000:.2f} ms\tBilled Duration: {billed} ms\t"
        f"Memory Size: {run.memory_mb} MB\tMax Memory Used: {-(-run.memory_bytes // 1_048_576)} MB\t"
    )
    if run.init_s is not None:
        line += f"Init Duration: {run.init_s * 1000:.2f} ms\t"
    if run.answer.kind == "Sandbox.Timedout":
        line += "Status: timeout"
    elif run.answer.kind is not None and run.answer.kind.startswith("Runtime."):
        line += f"Status: error\tError Type: {run.answer.kind}"
    return line
