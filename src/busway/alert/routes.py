"""Alert routes: where alarms tell people. Kept in memory, written through to the records."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

from busway.alarm.record import ROUTE_PREFIX
from busway.arn import Scope
from busway.clock import Clock
from busway.engine import Engine
from busway.errors import InvalidMail, InvalidRoute, RouteNotFound
from busway.mail.compose import RECIPIENTS_MAX, Letter, Recipients, compose

PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue"
# The site is chosen by --url: https://docs.datadoghq.com/getting_started/site/
DATADOG_URL = "https://api.datadoghq.com"
DATADOG_PATH = "/api/v1/events"
DATADOG_SERIES_PATH = "/api/v2/series"
PAGERDUTY_SECRET_ENV = "PAGERDUTY_ROUTING_KEY"
SEVERITIES = ("critical", "error", "warning", "info")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a kind of route wants: `url` and `secret_env` are defaults, "" for none.

    `has_url` is False where there is no URL, or where that is the secret; `keyed`: requests carry the secret.
    """

    url: str = ""
    secret_env: str = ""
    has_url: bool = True
    keyed: bool = False


KINDS: Mapping[str, Kind] = {
    "pagerduty": Kind(PAGERDUTY_URL, PAGERDUTY_SECRET_ENV, keyed=True),
    "datadog": Kind(DATADOG_URL, "DD_API_KEY", keyed=True),
    "slack": Kind(secret_env="SLACK_WEBHOOK_URL", has_url=False, keyed=True),
    "email": Kind(has_url=False),
    "webhook": Kind(),
}

_PREFIX = "route/"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One way to tell people, without its secret.

    That is PagerDuty's routing key, Datadog's API key, the URL of Slack's webhook, or the key that signs a webhook.
    `secret_env` names the variable of the server's environment that holds it; while that is not set, and the route is
    `sealed`, it is the secret of Secrets Manager that `sealed_name` names. `to` and `sender` are of an email route,
    `series` is of Datadog's: it is sent the numbers that alarms look at, too.
    """

    name: str
    arn: str
    kind: str
    url: str
    secret_env: str = ""
    sealed: bool = False
    severity: str = "error"
    to: tuple[str, ...] = ()
    sender: str = ""
    series: bool = False
    updated_at: float = 0.0


class RouteSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a user says of a route; what is left out gets the kind's default."""

    kind: str
    url: str | None = None
    secret_env: str | None = None
    sealed: bool = False
    severity: str = "error"
    to: tuple[str, ...] = ()
    sender: str = ""
    series: bool = False


class Routes:
    """CRUD of alert routes."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock
        self._routes: dict[str, Route] = {}
        # Called when a route is made, replaced or removed, and that is durable.
        self.listeners: list[Callable[[], None]] = []

    async def open(self) -> None:
        """Read what is stored; once, before anything else."""
        for value in await self._engine.records.list(_PREFIX):
            route = msgspec.json.decode(value.data, type=Route)
            self._routes[route.arn] = route

    def get(self, arn: str) -> Route | None:
        return self._routes.get(arn)

    def named(self, scope: Scope, name: str) -> Route:
        """Raises `RouteNotFound`."""
        route = self._routes.get(route_arn(scope, name))
        if route is None:
            raise RouteNotFound(name)
        return route

    def all(self) -> list[Route]:
        return list(self._routes.values())

    def of_scope(self, scope: Scope) -> list[Route]:
        prefix = route_arn(scope, "")
        return [route for arn, route in sorted(self._routes.items()) if arn.startswith(prefix)]

    async def put(self, scope: Scope, name: str, settings: RouteSettings) -> Route:
        """Create or replace. Raises `InvalidRoute`."""
        route = made_route(scope, name, settings, self._clock.now())
        await self._engine.records.put(_PREFIX + route.arn, msgspec.json.encode(route))
        self._routes[route.arn] = route
        self._changed()
        return route

    async def delete(self, scope: Scope, name: str) -> None:
        """Raises `RouteNotFound`. What is under way to it is retried until it exists again or is given up."""
        route = self.named(scope, name)
        await self._engine.records.delete(_PREFIX + route.arn)
        self._routes.pop(route.arn, None)
        self._changed()

    def _changed(self) -> None:
        for listener in self.listeners:
            listener()


def route_arn(scope: Scope, name: str) -> str:
    """On AWS, an SNS topic of the same name."""
    return scope.arn("sns", f"{ROUTE_PREFIX}{name}")


def sealed_name(name: str) -> str:
    """Under which name a route's secret is sealed."""
    return f"busway-alert/{name}"


def made_route(scope: Scope, name: str, settings: RouteSettings, now: float) -> Route:
    """A route with the defaults of its kind filled in. Raises `InvalidRoute`."""
    if not _NAME.fullmatch(name):
        raise InvalidRoute(f"route name {name!r}: wanted 1 to 64 letters, digits, - and _")
    kind = KINDS.get(settings.kind)
    if kind is None:
        raise InvalidRoute(f"route {name!r}: kind {settings.kind!r} is not one of {', '.join(KINDS)}")
    if settings.severity not in SEVERITIES:
        raise InvalidRoute(f"route {name!r}: severity {settings.severity!r} is not one of {', '.join(SEVERITIES)}")
    route = Route(
        name=name,
        arn=route_arn(scope, name),
        kind=settings.kind,
        url=_url(name, settings, kind),
        secret_env=_secret_env(name, settings, kind),
        sealed=settings.sealed,
        severity=settings.severity,
        to=settings.to,
        sender=settings.sender,
        series=settings.series,
        updated_at=now,
    )
    _check_series(route)
    return _with_addresses(route) if settings.kind == "email" else _without_addresses(route)


def _secret_env(name: str, settings: RouteSettings, kind: Kind) -> str:
    if settings.kind == "email" and (settings.secret_env or settings.sealed):
        raise InvalidRoute(f"route {name!r}: an email route has no secret; the server's mail settings have")
    secret_env = settings.secret_env or kind.secret_env
    if secret_env and not _VARIABLE.fullmatch(secret_env):
        # The value is left out: it may be the secret itself, given by mistake.
        raise InvalidRoute(f"route {name!r}: secret_env is the name of an environment variable, not the secret")
    return secret_env


def _url(name: str, settings: RouteSettings, kind: Kind) -> str:
    if not kind.has_url:
        if settings.url:
            # The value is left out: a URL of Slack's is a secret.
            why = "the webhook's URL is its secret" if settings.kind == "slack" else "it goes by mail, to addresses"
            raise InvalidRoute(f"route {name!r}: a route of kind {settings.kind} takes no url: {why}")
        return ""
    url = settings.url or kind.url
    _check_url(name, url, https_only=kind.keyed)
    return url.rstrip("/") + DATADOG_PATH if settings.kind == "datadog" and urlsplit(url).path in ("", "/") else url


def series_url(route: Route) -> str:
    """Where a Datadog route's series go: to the site that its events go to."""
    return route.url.removesuffix(DATADOG_PATH) + DATADOG_SERIES_PATH


def _check_series(route: Route) -> None:
    if not route.series:
        return
    if route.kind != "datadog":
        raise InvalidRoute(f"route {route.name!r}: series are for routes of kind datadog, not {route.kind}")
    if not route.url.endswith(DATADOG_PATH):
        wanted = "wanted a site such as https://api.datadoghq.eu"
        raise InvalidRoute(f"route {route.name!r}: series have a path of their own, so url has none: {wanted}")


def _with_addresses(route: Route) -> Route:
    """With a sender: ours, at the domain of who is written to first. Raises `InvalidRoute`."""
    if not 1 <= len(route.to) <= RECIPIENTS_MAX:
        raise InvalidRoute(f"route {route.name!r}: found {len(route.to)} addresses, wanted 1 to {RECIPIENTS_MAX}")
    sender = route.sender or f"Busway <busway@{route.to[0].rpartition('@')[2].rstrip('> ')}>"
    try:
        compose(Letter(sender, Recipients(to=route.to), "", text=""), "tried", 0.0)
    except InvalidMail as error:
        raise InvalidRoute(f"route {route.name!r}: {error}") from error
    return msgspec.structs.replace(route, sender=sender)


def _without_addresses(route: Route) -> Route:
    if route.to or route.sender:
        raise InvalidRoute(f"route {route.name!r}: addresses are for routes of kind email, not {route.kind}")
    return route


def _check_url(name: str, url: str, https_only: bool) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError as error:
        raise InvalidRoute(f"route {name!r}: url {url!r}: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise InvalidRoute(f"route {name!r}: url {url!r} is not an http or https URL")
    if parts.username is not None or parts.password is not None:
        raise InvalidRoute(f"route {name!r}: the url holds credentials; routes store no secrets")
    if https_only and parts.scheme != "https" and host not in LOOPBACK:
        raise InvalidRoute(f"route {name!r}: url {url!r} would send the key in the clear; use https")


def is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in LOOPBACK
