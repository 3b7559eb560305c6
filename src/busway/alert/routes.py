"""Alert routes: where alarms tell people. Kept in memory, written through to the records."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import msgspec

from busway.alarm.record import ROUTE_PREFIX
from busway.arn import Scope
from busway.clock import Clock
from busway.engine import Engine
from busway.errors import InvalidRoute, RouteNotFound

KINDS = ("pagerduty", "webhook")
PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue"
PAGERDUTY_SECRET_ENV = "PAGERDUTY_ROUTING_KEY"
SEVERITIES = ("critical", "error", "warning", "info")
LOOPBACK = ("127.0.0.1", "localhost", "::1")

_PREFIX = "route/"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One way to tell people. `secret_env` names the variable of the server's environment that holds the secret.

    The secret is PagerDuty's routing key, or the key that signs a webhook.
    """

    name: str
    arn: str
    kind: str
    url: str
    secret_env: str = ""
    severity: str = "error"
    updated_at: float = 0.0


class RouteSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a user says of a route; what is left out gets the kind's default."""

    kind: str
    url: str | None = None
    secret_env: str | None = None
    severity: str = "error"


class Routes:
    """CRUD of alert routes."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock
        self._routes: dict[str, Route] = {}

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

    def of_scope(self, scope: Scope) -> list[Route]:
        prefix = route_arn(scope, "")
        return [route for arn, route in sorted(self._routes.items()) if arn.startswith(prefix)]

    async def put(self, scope: Scope, name: str, settings: RouteSettings) -> Route:
        """Create or replace. Raises `InvalidRoute`."""
        route = made_route(scope, name, settings, self._clock.now())
        await self._engine.records.put(_PREFIX + route.arn, msgspec.json.encode(route))
        self._routes[route.arn] = route
        return route

    async def delete(self, scope: Scope, name: str) -> None:
        """Raises `RouteNotFound`. What is under way to it is retried until it exists again or is given up."""
        route = self.named(scope, name)
        await self._engine.records.delete(_PREFIX + route.arn)
        self._routes.pop(route.arn, None)


def route_arn(scope: Scope, name: str) -> str:
    """On AWS, an SNS topic of the same name."""
    return scope.arn("sns", f"{ROUTE_PREFIX}{name}")


def made_route(scope: Scope, name: str, settings: RouteSettings, now: float) -> Route:
    """A route with the defaults of its kind filled in. Raises `InvalidRoute`."""
    if not _NAME.fullmatch(name):
        raise InvalidRoute(f"route name {name!r}: wanted 1 to 64 letters, digits, - and _")
    if settings.kind not in KINDS:
        raise InvalidRoute(f"route {name!r}: kind {settings.kind!r} is not one of {', '.join(KINDS)}")
    if settings.severity not in SEVERITIES:
        raise InvalidRoute(f"route {name!r}: severity {settings.severity!r} is not one of {', '.join(SEVERITIES)}")
    pagerduty = settings.kind == "pagerduty"
    secret_env = settings.secret_env or (PAGERDUTY_SECRET_ENV if pagerduty else "")
    if secret_env and not _VARIABLE.fullmatch(secret_env):
        # The value is left out: it may be the secret itself, given by mistake.
        raise InvalidRoute(f"route {name!r}: secret_env is the name of an environment variable, not the secret")
    url = settings.url or (PAGERDUTY_URL if pagerduty else "")
    _check_url(name, url, https_only=pagerduty)
    return Route(
        name=name,
        arn=route_arn(scope, name),
        kind=settings.kind,
        url=url,
        secret_env=secret_env,
        severity=settings.severity,
        updated_at=now,
    )


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
        raise InvalidRoute(f"route {name!r}: url {url!r} would send the routing key in the clear; use https")


def is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in LOOPBACK
