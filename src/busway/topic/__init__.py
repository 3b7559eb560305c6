"""SNS-shaped topics: what is published to one goes to each of its subscriptions.

    record, attributes     what a topic and a subscription are, and what may be set of them    (pure)
    filter_policy          which messages a subscription wants                                  (pure)
    message, envelope      what is published, and what each protocol is sent of it              (pure)
    registry               which topics and subscriptions there are
    topics                 subscribe, confirm, publish

Queues and functions of this server get their message in the put that publishes it. HTTP and mail are deliveries of
the outbox (`targets/subscription`): retried, then dead letters.
"""
