"""Metric alarms, CloudWatch-shaped: "the dead-letter queue of this function is not empty".

    state       the state that data points put an alarm into           (pure)
    series      samples folded into periods                            (pure)
    record      what is kept of an alarm, and what it owes to whom     (pure)
    notice      the notification of a state change, in AWS's shape     (pure)
    registry    the alarms there are
    evaluator   reads the queues, moves the states, hands over the notices

Built now: alarms on `AWS/SQS` `ApproximateNumberOfMessagesVisible` of one queue. Everything else is refused in words.
"""
