"""SQS-shaped queues: attributes, messages, long polling, redrive policies, retention, dead letters.

    attributes, record, permissions    what a queue is                                     (pure)
    message                            what a message is: checks, checksums, receipts      (pure)
    registry                           which queues there are
    receiving                          lease, line of pollers, redrive, retention
    queues                             send, receive, delete, change visibility
    dead_letters                       the `DeadLetters` port of `delivery`

Standard queues only; FIFO comes later.
"""
