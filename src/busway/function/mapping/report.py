"""What a handler says of the single messages of its batch (`ReportBatchItemFailures`). Pure.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html: what counts as a success, and what as a
failure of the whole batch. AWS's recordings agree.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any, cast

import msgspec

REPORT = "ReportBatchItemFailures"
# Ours: the errorType of a failure that was reported and not raised.
FAILED_ITEMS = "Busway.BatchItemFailures"


def failed_ids(answer: bytes, known: Container[str]) -> list[str] | None:
    """The identifiers that the handler reports, [] for none; None when the whole batch counts as failed.

    `known` are the identifiers of the batch: one that is not among them makes the report worthless.
    """
    if not answer:
        return []
    try:
        said: Any = msgspec.json.decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if said is None or said in ("", [], {}):
        return []
    if not isinstance(said, dict):
        return None
    failures = cast("dict[str, Any]", said).get("batchItemFailures")
    if failures is None:
        return []
    if not isinstance(failures, list):
        return None
    ids = [_identifier(failure) for failure in cast("list[Any]", failures)]
    return ids if all(ids) and all(found in known for found in ids) else None


def reported_failure(answer: bytes) -> bytes | None:
    """The error object of an answer that reports failures, whichever; None when it reports none."""
    if failed_ids(answer, ()) == []:
        return None
    text = f"The handler reported failures: {answer[:200].decode(errors='replace')}"
    return msgspec.json.encode({"errorType": FAILED_ITEMS, "errorMessage": text})


def _identifier(failure: Any) -> str:
    """ "" for what names nothing."""
    found = cast("dict[str, Any]", failure).get("itemIdentifier") if isinstance(failure, dict) else None
    return found if isinstance(found, str) else ""
