"""Telling a person: routes to Slack, mail, PagerDuty, Datadog or a webhook, and what each is sent.

    routes      the routes there are, by name and ARN
    gathering   notices wait until their route is ready, and are told in few messages      (acts)
    pace        when that is, and how many at once                                         (pure)
    payload     what a delivery to a route carries                                         (pure)
    request     what all kinds have in common: a request, a mail, or why there is none     (pure)
    summary     one alarm or many, in words for people                                     (pure)
    slack       an incoming webhook, in Block Kit                                          (pure)
    email       a mail in plain text, one thread an alarm                                  (pure)
    pagerduty   Events API v2: trigger on ALARM, resolve on OK                             (pure)
    datadog     Events API v1, one `aggregation_key` an alarm                              (pure)
    webhook     CloudEvents, signed as Standard Webhooks say                               (pure)

    datadog_series   what the alarms look at, as series by Datadog's metrics intake v2     (pure)
    series_sending   sends those, minute by minute, from a position that is kept           (acts)

Sending is `targets/http`; trying again is `delivery`. A secret is read when it is needed, from the environment or
sealed: a route holds only where it is.
"""
