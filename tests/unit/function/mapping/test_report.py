"""What a handler's answer means for the single messages of its batch: AWS's rules, as recorded."""

from __future__ import annotations

import pytest

from busway.function.mapping.report import failed_ids

KNOWN = {"one", "two"}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"null",
        b'""',
        b"[]",
        b"{}",
        b'{"batchItemFailures":[]}',
        b'{"batchItemFailures":null}',
        b'{"statusCode":200}',
    ],
)
def test_a_handler_that_reports_nothing_is_done_with_its_batch(answer: bytes):
    assert failed_ids(answer, KNOWN) == []


@pytest.mark.parametrize(
    "answer",
    [
        b"{",
        b"\xff",
        b'"done"',
        b"[1]",
        b"7",
        b'{"batchItemFailures":"one"}',
        b'{"batchItemFailures":["one"]}',
        b'{"batchItemFailures":[{"itemIdentifier":""}]}',
        b'{"batchItemFailures":[{"itemIdentifier":null}]}',
        b'{"batchItemFailures":[{"itemIdentifier":1}]}',
        b'{"batchItemFailures":[{"foo":"one"}]}',
        b'{"batchItemFailures":[{"itemIdentifier":"one"},{"itemIdentifier":"three"}]}',
    ],
)
def test_a_report_that_means_nothing_fails_the_whole_batch(answer: bytes):
    assert failed_ids(answer, KNOWN) is None


def test_the_reported_identifiers_are_those_that_failed():
    answer = b'{"batchItemFailures":[{"itemIdentifier":"two"},{"itemIdentifier":"one"}]}'
    assert failed_ids(answer, KNOWN) == ["two", "one"]
