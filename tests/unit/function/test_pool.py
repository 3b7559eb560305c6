from __future__ import annotations

from busway.function.pool import wants_worker


def wants(**facts: float) -> bool:
    usual = {"waiting": 1, "starting": 0, "workers": 0, "cores": 2, "typical_s": 0.001, "waited_s": 0.0}
    return wants_worker(**{**usual, **facts})  # pyright: ignore[reportArgumentType]


def test_the_first_in_line_starts_the_first_worker():
    assert wants()
    assert not wants(waiting=0)


def test_no_more_start_than_wait_or_than_there_are_cores():
    assert not wants(waiting=1, starting=1, workers=1)
    assert wants(waiting=5, starting=1, workers=1)
    assert not wants(waiting=5, starting=2, workers=2, typical_s=9.0)


def test_quick_handlers_get_no_more_workers_than_there_are_cores():
    assert not wants(waiting=500, workers=2, typical_s=0.001)


def test_handlers_that_wait_get_as_many_as_there_is_work_for():
    assert wants(waiting=1, workers=20, typical_s=0.5)


def test_a_line_that_does_not_move_gets_another_worker():
    assert wants(waiting=1, workers=2, typical_s=0.0, waited_s=0.03)
