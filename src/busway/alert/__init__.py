"""Telling a person: routes to PagerDuty or a webhook, and what each is sent.

    routes      the routes there are, by name and ARN
    request     what all kinds have in common: one HTTP request, or why there can be none
    pagerduty   Events API v2: trigger on ALARM, resolve on OK           (pure)
    webhook     CloudEvents, signed as Standard Webhooks say             (pure)

Sending is `targets/http`; trying again is `delivery`. A secret is read from the environment when it is needed: a
route holds only the name of its variable.
"""
