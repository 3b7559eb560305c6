"""Counters and gauges under CloudWatch's names."""

from __future__ import annotations

from busway.clock import ManualClock
from busway.metrics import OTHER, SERIES_MAX_PER_METRIC, Metrics


def made() -> Metrics:
    return Metrics(ManualClock())


def test_counts_add_up_by_dimension():
    metrics = made()
    metrics.count("AWS/Events", "Invocations", RuleName="a")
    metrics.count("AWS/Events", "Invocations", 2, RuleName="a")
    metrics.count("AWS/Events", "Invocations", RuleName="b")
    assert metrics.value("AWS/Events", "Invocations", RuleName="a") == 3
    assert metrics.value("AWS/Events", "Invocations", RuleName="b") == 1
    assert metrics.value("AWS/Events", "Invocations", RuleName="c") == 0


def test_the_order_of_dimensions_makes_no_second_series():
    metrics = made()
    metrics.count("N", "M", A="1", B="2")
    metrics.count("N", "M", B="2", A="1")
    metrics.count("N", "M", B="2", A="1")
    assert [(s.dimensions, s.value) for s in metrics.snapshot()] == [((("A", "1"), ("B", "2")), 3)]


def test_a_gauge_holds_the_last_value():
    metrics = made()
    for depth in (5, 2):
        metrics.gauge("AWS/SQS", "ApproximateNumberOfMessagesVisible", depth, QueueName="orders")
    assert metrics.value("AWS/SQS", "ApproximateNumberOfMessagesVisible", QueueName="orders") == 2


def test_a_metric_with_too_many_dimensions_is_summed_under_other():
    metrics = made()
    for number in range(SERIES_MAX_PER_METRIC + 50):
        metrics.count("N", "M", Name=str(number))
    assert len(metrics.snapshot()) == SERIES_MAX_PER_METRIC + 1
    assert metrics.value("N", "M", Name=OTHER) == 50
    assert metrics.value("N", "M", Name="7") == 1


async def test_prometheus_gets_its_own_names_and_escapes():
    clock = ManualClock()
    metrics = Metrics(clock)
    await clock.advance(5)
    metrics.count("AWS/Events", "Invocations", 3, RuleName='a"b\n')
    metrics.count("AWS/Events", "InvocationsSentToDLQ", RuleName="r")
    metrics.gauge("AWS/SQS", "ApproximateNumberOfMessagesVisible", 4, QueueName="orders")
    text = metrics.prometheus().decode()
    assert 'aws_events_invocations_total{rule_name="a\\"b\\n"} 3.0' in text
    assert 'aws_events_invocations_sent_to_dlq_total{rule_name="r"} 1.0' in text
    assert 'aws_sqs_approximate_number_of_messages_visible{queue_name="orders"} 4.0' in text
    assert "# TYPE aws_events_invocations_total counter" in text
    assert "busway_uptime_seconds 5.0" in text


def test_a_name_that_is_longer_than_any_is_not_kept():
    metrics = Metrics(ManualClock())
    for number in range(3):
        metrics.count("Busway/Events", "EventsForMissingBus", EventBusName="b" * 1_000_000 + str(number))
    assert [(sample.dimensions, sample.value) for sample in metrics.snapshot()] == [((("EventBusName", OTHER),), 3.0)]
