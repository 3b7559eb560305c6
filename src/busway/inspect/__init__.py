"""Our own HTTP interface, for the command line: same port, same gate as the AWS services; JSON both ways.

    GET    /health                        whether it takes events: {status, accepting, detail, version, uptime_s, …}
    GET    /metrics                       Prometheus's text
    GET    /_busway/status                buses, rules, functions, queues, streams, mappings, alarms, routes, outbox
    GET    /_busway/tail?since=           JSON lines: {sequence, at, kind, …facts}, from now on or after `since`
    GET    /_busway/events/{id}           why: the event, each rule's verdict, each delivery, the closest misses
    GET    /_busway/traces/{id}           an event's trace as a tree: attempts, what each published, alarms
    GET    /_busway/dead-letters?handler=&queue=&limit=
    POST   /_busway/redrive               {function | handler | queue | ids | all: true}
    GET    /_busway/logs/{function}?follow=1&limit=&request_id=
    GET    /_busway/inbox?limit=          mails that were kept instead of sent
    GET    /_busway/verify                the proof that nothing was lost
    GET    /_busway/routes[/{name}]       alert routes; PUT {kind, url?, secret_env?, severity?, series?, …}, DELETE
    POST   /_busway/routes/{name}         send a route of series one point, and say what was answered
    GET    /_busway/clock                 POST {advance_s} moves it, if it is a manual one

Errors are `{error, hint}` with a status. Answers are about the caller's account and Region; times are Unix seconds.
"""
