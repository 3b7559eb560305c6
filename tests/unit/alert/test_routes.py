"""Alert routes: checked, kept, and without secrets."""

from __future__ import annotations

import msgspec
import pytest

from busway.alert.pace import PACES, PEOPLE
from busway.alert.routes import KINDS, PAGERDUTY_URL, Routes, RouteSettings, made_route, route_arn, series_url
from busway.arn import Scope
from busway.cli import alert as cli
from busway.clock import ManualClock
from busway.engine.memory import MemoryEngine
from busway.errors import InvalidRoute, RouteNotFound

SCOPE = Scope()


def test_a_pagerduty_route_needs_nothing_but_its_name():
    route = made_route(SCOPE, "oncall", RouteSettings(kind="pagerduty"), 1.0)
    assert (route.url, route.secret_env) == (PAGERDUTY_URL, "PAGERDUTY_ROUTING_KEY")
    assert route.arn == "arn:aws:sns:us-east-1:000000000000:busway-alert-oncall"


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("a b", {"kind": "pagerduty"}, "route name"),
        ("a", {"kind": "fax"}, "'fax' is not one of pagerduty, datadog, slack, email, webhook"),
        ("a", {"kind": "webhook"}, "is not an http or https URL"),
        ("a", {"kind": "webhook", "url": "ftp://x"}, "is not an http or https URL"),
        ("a", {"kind": "webhook", "url": "https://user:pass@x/"}, "holds credentials"),
        ("a", {"kind": "webhook", "url": "http://x:notaport/"}, "url"),
        ("a", {"kind": "pagerduty", "url": "http://pager.example/"}, "in the clear"),
        ("a", {"kind": "pagerduty", "severity": "bad"}, "severity"),
        ("a", {"kind": "datadog", "url": "http://api.example/"}, "in the clear"),
        ("a", {"kind": "email"}, "found 0 addresses, wanted 1 to 50"),
        ("a", {"kind": "email", "to": ("nobody",)}, "wanted an address such as"),
        ("a", {"kind": "email", "to": ("a@b.example",), "sender": "x"}, "wanted an address such as"),
        ("a", {"kind": "email", "to": ("a@b.example",), "url": "https://x/"}, "takes no url"),
        ("a", {"kind": "email", "to": ("a@b.example",), "sealed": True}, "has no secret"),
        ("a", {"kind": "slack", "series": True}, "series are for routes of kind datadog, not slack"),
        ("a", {"kind": "datadog", "series": True, "url": "https://x/dd"}, "series have a path of their own"),
        (
            "a",
            {"kind": "webhook", "url": "https://x/", "to": ("a@b.example",)},
            "addresses are for",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(name: str, settings: dict[str, str], said: str):
    with pytest.raises(InvalidRoute, match=said):
        made_route(SCOPE, name, msgspec.convert(settings, RouteSettings), 0.0)


def test_a_secret_given_by_mistake_is_refused_and_not_repeated():
    with pytest.raises(InvalidRoute) as caught:
        made_route(SCOPE, "a", RouteSettings(kind="pagerduty", secret_env="0123-secret"), 0.0)
    assert "0123-secret" not in str(caught.value)


def test_slacks_address_is_a_secret_and_not_repeated():
    with pytest.raises(InvalidRoute, match="the webhook's URL is its secret") as caught:
        made_route(SCOPE, "a", RouteSettings(kind="slack", url="https://hooks.slack.com/services/canary"), 0.0)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        (None, "https://api.datadoghq.com/api/v1/events"),
        ("https://api.datadoghq.eu", "https://api.datadoghq.eu/api/v1/events"),
        ("https://api.us5.datadoghq.com/", "https://api.us5.datadoghq.com/api/v1/events"),
        ("https://proxy.example/dd", "https://proxy.example/dd"),
    ],
)
def test_datadogs_site_is_given_by_its_address(given: str | None, url: str):
    assert made_route(SCOPE, "a", RouteSettings(kind="datadog", url=given), 0.0).url == url


@pytest.mark.parametrize(
    ("given", "url"),
    [
        (None, "https://api.datadoghq.com/api/v2/series"),
        ("https://api.datadoghq.eu/", "https://api.datadoghq.eu/api/v2/series"),
        ("https://proxy.example/api/v1/events", "https://proxy.example/api/v2/series"),
    ],
)
def test_series_go_to_the_same_site_as_events(given: str | None, url: str):
    settings = RouteSettings(kind="datadog", url=given, series=True)
    assert series_url(made_route(SCOPE, "a", settings, 0.0)) == url


async def test_a_route_of_an_older_version_sends_no_series():
    clock = ManualClock()
    engine, arn = MemoryEngine(clock), route_arn(SCOPE, "dd")
    older = {"name": "dd", "arn": arn, "kind": "datadog", "url": "https://api.datadoghq.com/api/v1/events"}
    await engine.records.put(f"route/{arn}", msgspec.json.encode(older))
    routes = Routes(engine, clock)
    await routes.open()
    assert [(route.name, route.series) for route in routes.all()] == [("dd", False)]


@pytest.mark.parametrize("to", ["jo@example.com", "Jo <jo@example.com>"])
def test_an_email_comes_from_the_domain_that_it_goes_to(to: str):
    route = made_route(SCOPE, "a", RouteSettings(kind="email", to=(to,)), 0.0)
    assert route.sender == "Busway <busway@example.com>"


def test_the_command_line_knows_every_kind():
    assert tuple(KINDS) == cli.KINDS
    assert {kind for kind, pace in PACES.items() if pace is PEOPLE} == set(cli.GATHERED_KINDS)


def test_plain_http_is_fine_on_loopback():
    assert made_route(SCOPE, "a", RouteSettings(kind="pagerduty", url="http://127.0.0.1:8/x"), 0.0).url


async def test_routes_outlive_the_process_and_can_be_taken_away():
    clock = ManualClock()
    engine = MemoryEngine(clock)
    await Routes(engine, clock).put(SCOPE, "oncall", RouteSettings(kind="pagerduty"))
    routes = Routes(engine, clock)
    await routes.open()
    assert [route.name for route in routes.of_scope(SCOPE)] == ["oncall"]
    assert routes.of_scope(Scope("111111111111")) == []
    assert routes.get(route_arn(SCOPE, "oncall")) is not None
    await routes.delete(SCOPE, "oncall")
    with pytest.raises(RouteNotFound):
        routes.named(SCOPE, "oncall")
    assert await engine.records.list("route/") == []
