from __future__ import annotations

from hypothesis import given, strategies as st

from busway.function.invocation.lineage import FUNCTIONS_MAX, passed, passes, without

ROOT = "Root=1-6553f100-000102030405060708090a0b;Parent=0c0d0e0f10111213;Sampled=0"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:{}"
A, B = ARN.format("a"), ARN.format("b")


def test_passes_are_counted_by_function_and_the_rest_of_the_header_stays():
    header = ROOT
    for turn in range(1, 20):
        header = passed(passed(header, A), B)
        assert (passes(header, A), passes(header, B)) == (turn, turn)
    assert without(header) == ROOT
    assert header.startswith(f"{ROOT};Lineage=")


def test_a_header_is_short_however_many_functions_it_passed():
    header = ROOT
    for number in range(100):
        header = passed(header, ARN.format(number))
    assert len(header) < 500
    assert header.count(":") == FUNCTIONS_MAX
    assert passes(header, ARN.format(99)) == 1


def test_a_loop_is_counted_through_as_many_others_as_a_header_has_room_for():
    header = ROOT
    for turn in range(1, 17):
        header = passed(header, A)
        for number in range(FUNCTIONS_MAX - 1):
            header = passed(header, ARN.format(f"{turn}-{number}"))
    assert passes(header, A) == 16


@given(st.text(max_size=60) | st.text(max_size=40).map(lambda text: f"{ROOT};Lineage={text}"))
def test_a_header_of_strangers_never_breaks_anything(header: str):
    counted = passed(header, A)
    assert passes(counted, A) >= 1
    assert passes(without(counted), A) == 0
