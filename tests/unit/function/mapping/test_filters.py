"""Which messages a mapping wants."""

from __future__ import annotations

import pytest

from busway.errors import InvalidFunction
from busway.function.mapping.filters import Filters, check_filters

Facts = dict[str, object]


def want(pattern: str, body: str, **facts: object) -> bool:
    return Filters([pattern], "body").want(body.encode(), lambda: dict(facts))  # pyright: ignore[reportArgumentType]


def test_a_mapping_without_filters_wants_every_message():
    assert Filters([], "body").want(b"\xff", dict)


@pytest.mark.parametrize(
    ("pattern", "wanted", "unwanted"),
    [
        ('{"body":{"kind":["a"]}}', '{"kind":"a"}', '{"kind":"b"}'),
        ('{"body":{"kind":["a","b"]}}', '{"kind":"b"}', '{"kind":"c"}'),
        ('{"body":{"n":[{"numeric":[">",100]}]}}', '{"n":101}', '{"n":100}'),
        ('{"body":{"kind":[{"prefix":"yes"}]}}', '{"kind":"yes-1"}', '{"kind":"no"}'),
        ('{"body":{"kind":[{"exists":false}]}}', '{"other":1}', '{"kind":1}'),
        ('{"body":["plain"]}', "plain", "other"),
    ],
)
def test_a_filter_wants_what_its_pattern_matches(pattern: str, wanted: str, unwanted: str):
    assert want(pattern, wanted)
    assert not want(pattern, unwanted)


def test_a_pattern_that_looks_inside_does_not_want_plain_text():
    assert not want('{"body":{"kind":[{"exists":false}]}}', "plain")


def test_a_pattern_for_plain_text_does_not_want_json():
    assert not want('{"body":[{"anything-but":["other"]}]}', '{"kind":"a"}')


def test_a_pattern_that_looks_only_at_other_members_wants_both_kinds_of_body():
    pattern = '{"attributes":{"SenderId":["me"]}}'
    for body in ("plain", '{"kind":"a"}'):
        assert want(pattern, body, attributes={"SenderId": "me"})
        assert not want(pattern, body, attributes={"SenderId": "you"})


def test_one_filter_of_several_is_enough():
    filters = Filters(['{"data":{"a":[1]}}', '{"data":{"b":[1]}}'], "data")
    assert filters.want(b'{"b":1}', dict)
    assert not filters.want(b'{"c":1}', dict)


@pytest.mark.parametrize("pattern", ["null", '"text"', '{"eventSource":"aws:sqs"}', '{"eventSource":[]}', ""])
def test_what_is_no_pattern_is_refused_in_awss_words(pattern: str):
    with pytest.raises(InvalidFunction, match=r"^Invalid filter pattern definition\."):
        check_filters([pattern], "body")


def test_more_filters_than_ten_are_refused():
    with pytest.raises(InvalidFunction, match="11 filters"):
        check_filters(['{"body":["a"]}'] * 11, "body")
