import json
from itertools import combinations
from typing import Any

from hypothesis import given, settings, strategies as st

from busway.pattern import event_text, parse
from busway.pattern.overlap import Reach, both, relation
from busway.pattern.rule_set import Report, lint

from .random_patterns import LISTS, NAMES, object_text


def linted(patterns: dict[str, Any], **limits: int) -> Report:
    return lint({name: parse(json.dumps(pattern)) for name, pattern in patterns.items()}, **limits)


def told(report: Report) -> list[tuple[str, tuple[str, ...]]]:
    return [(each.code, each.rules) for each in report.findings]


ORDER = {"source": ["shop"], "detail-type": ["Order"]}


def test_equal_rules_are_one_finding_and_are_compared_once():
    reordered = {"detail-type": ["Order"], "source": ["shop"]}
    report = linted({"a": ORDER, "b": reordered, "c": ORDER})
    assert told(report) == [("equal", ("a", "b", "c"))]
    assert report.pairs == 0


def test_a_rule_within_others_names_them_all():
    large = {**ORDER, "detail": {"total": [{"numeric": [">", 100]}]}}
    larger = {**ORDER, "detail": {"total": [{"numeric": [">", 500]}]}}
    report = linted({"all": ORDER, "large": large, "larger": larger})
    assert told(report) == [("covered", ("large", "all")), ("covered", ("larger", "all", "large"))]
    assert report.findings[1].message == "every event of larger is one of all and large too"


def test_an_overlap_comes_with_an_event_that_both_match():
    one = {**ORDER, "detail": {"total": [{"numeric": [">", 100]}]}}
    other = {**ORDER, "detail": {"country": ["NO"]}}
    (finding,) = linted({"one": one, "other": other}).findings
    assert (finding.code, finding.event and finding.event["detail"]) == ("overlap", {"country": "NO", "total": 101})


def test_rules_for_other_events_are_not_put_beside_each_other():
    rules = {f"r{number}": {"source": ["shop"], "detail-type": [f"Type {number}"]} for number in range(100)}
    assert linted(rules) == Report(())


def test_pairs_beyond_the_limit_are_counted():
    rules = {f"r{number}": {"detail": {"total": [{"numeric": [">", number]}]}} for number in range(20)}
    report = linted(rules, pairs_max=50)
    assert (report.pairs, report.pairs_left) == (50, 20 * 19 // 2 - 50)


def test_a_branch_counts_as_a_rule_towards_the_limit():
    branches = [{"detail": {"total": [number]}} for number in range(10)]
    rules = {
        "many": {"$or": branches},
        "more": {"$or": [*branches, {"region": ["r"]}]},
        "few": {"detail": {"a": ["x"]}},
    }
    report = linted(rules, pairs_max=100)
    assert (report.pairs, report.pairs_left) == (2, 1)


def test_many_covering_rules_are_counted_in_the_message():
    rules = {f"r{number}": {"detail": {"total": [{"numeric": [">", number]}]}} for number in range(9)}
    assert linted(rules).findings[-1].message == "every event of r8 is one of r0, r1, r2, r3 and 4 others too"


def test_a_rule_that_can_never_match_is_compared_with_none():
    report = linted({"never": {"source": [5]}, "all": ORDER})
    assert told(report) == [("never", ("never",))]


def test_errors_come_first():
    report = linted({"a": {"detail": {"x": ["y*"]}}, "b": {"source": [5]}, "c": {"detail": {"x": ["10.0.0.1"]}}})
    assert [each.level for each in report.findings] == ["error", "warning", "note"]


MEMBERS = st.lists(
    st.tuples(st.sampled_from(["source", "detail-type"]), st.sampled_from(['["x"]', '["x","y"]', '["y"]']))
)
DETAILS = st.lists(st.tuples(NAMES, st.one_of(LISTS, st.sampled_from(['["x"]', '["y"]', '["x","y"]']))), min_size=1)
RULES = st.builds(lambda members, detail: object_text([*members, ("detail", object_text(detail))]), MEMBERS, DETAILS)


@settings(max_examples=60, deadline=None)
@given(st.lists(RULES, min_size=2, max_size=7))
def test_the_index_leaves_out_no_pair_of_which_something_can_be_said(texts: list[str]):
    patterns = {f"r{number}": parse(text) for number, text in enumerate(texts)}
    report = lint(patterns)
    reaches = {name: reach for name, pattern in patterns.items() if (reach := Reach(pattern)).alternatives}
    said = {pair for each in report.findings for pair in combinations(sorted(each.rules), 2)}
    for one, other in combinations(sorted(reaches), 2):
        known = relation(reaches[one], reaches[other])
        if known in ("equal", "covers", "covered") or (known == "unknown" and both(reaches[one], reaches[other])):
            assert (one, other) in said


@settings(max_examples=60, deadline=None)
@given(st.lists(RULES, min_size=2, max_size=7))
def test_every_overlap_s_event_is_matched_by_its_rules(texts: list[str]):
    patterns = {f"r{number}": parse(text) for number, text in enumerate(texts)}
    for finding in lint(patterns).findings:
        if finding.event is not None:
            assert all(patterns[name].matches(event_text(finding.event).encode()) for name in finding.rules)
