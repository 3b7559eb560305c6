"""SQS-shaped queues: attributes, messages, long polling, redrive policies, retention, dead letters.

    attributes, record, permissions    what a queue is                                     (pure)
    message, fifo, sending             what a message is: checks, checksums, receipts, puts (pure)
    registry                           which queues there are
    receiving, in_flight, attempts     lease, line of pollers, redrive, retention, limits
    queues                             send, receive, delete, change visibility
    moves                              message move tasks: dead letters back to where they came from
    dead_letters                       the `DeadLetters` port of `delivery`

What a FIFO queue promises stands on the engine's groups (order) and keys (deduplication).
"""
