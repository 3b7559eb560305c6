"""What a project's things are called on AWS, and their logical ids in its template. Pure.

Every name begins with the project and the environment: two environments may share an account. Names are given and
not left to CloudFormation, so that ARNs can be said before the things are there: roles name exactly what they are
for, and a rule is made last, when all that it leads to is ready.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from busway.arn import DEAD_LETTERS, rule_resource
from busway.errors import BrokenProject
from busway.road.alarms import error_rate_name
from busway.road.entries import RULE_NAME_LENGTH_MAX
from busway.road.manifest import Manifest

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cfn-using-console-create-stack-parameters.html
STACK_NAME_LENGTH_MAX = 128


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one environment of a project."""

    project: str
    environment: str

    @property
    def stack(self) -> str:
        """A stack's name has letters, digits and hyphens and begins with a letter."""
        name = re.sub(r"[^A-Za-z0-9-]+", "-", f"{self.project}-{self.environment}").strip("-")
        return (name if name[:1].isalpha() else f"busway-{name}")[:STACK_NAME_LENGTH_MAX]

    @property
    def once_table(self) -> str:
        return f"{self.project}-{self.environment}-once"

    def of(self, entry: str) -> str:
        """The name of a handler's function, rule and stream, or of a rule. Raises BrokenProject when AWS has none."""
        name = f"{self.project}-{self.environment}-{entry}"
        if len(name) <= RULE_NAME_LENGTH_MAX:
            return name
        raise BrokenProject(
            f"{name!r} is longer than {RULE_NAME_LENGTH_MAX} characters, the most that a rule or a function may have",
            f"shorten {entry!r}, the project's name or the environment's",
        )

    def dead_letters(self, entry: str) -> str:
        return self.of(entry) + DEAD_LETTERS

    def error_rate(self, handler: str) -> str:
        return error_rate_name(self.of(handler))

    def log_group(self, entry: str) -> str:
        return f"/aws/lambda/{self.of(entry)}"

    def topic(self, route: str) -> str:
        return f"{self.project}-{self.environment}-alert-{route}"

    def secret(self, variable: str) -> str:
        return f"{self.project}/{self.environment}/{variable}"


def arn(service: str, resource: str) -> dict[str, Any]:
    """An ARN in the stack's own account and region."""
    return {"Fn::Sub": f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{resource}"}


def rule_arn(bus: str, name: str) -> dict[str, Any]:
    return arn("events", rule_resource(bus, name))


@dataclass(frozen=True, slots=True)
class Ids:
    """How the logical ids begin: by handler or rule, by alert route, by variable passed on, and by a rule's place."""

    entries: Mapping[str, str]
    routes: Mapping[str, str]
    variables: Mapping[str, str]
    places: Mapping[str, str]

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        rules = [entry.rule for entry in manifest.rules]
        routes = [entry.alert for entry in manifest.handlers] + [rule.alert for rule in rules]
        places = [target.place for rule in rules for target in rule.targets]
        return cls(
            logical_ids([entry.name for entry in (*manifest.handlers, *manifest.rules)]),
            logical_ids([route for route in routes if route]),
            logical_ids([variable for entry in manifest.handlers for variable in entry.env], _variable_id),
            logical_ids([name for kind, name in places if kind not in ("Handler", "Arn")]),
        )

    def topic(self, route: str) -> str:
        return f"Alert{self.routes[route]}Topic"

    def address(self, route: str) -> str:
        """The parameter that holds the address which a route's topic tells."""
        return f"Alert{self.routes[route]}Url"

    def variable(self, variable: str) -> str:
        """The parameter that holds a variable which is passed on."""
        return f"Env{self.variables[variable]}"


def logical_id(name: str) -> str:
    """`notify-customer` → `NotifyCustomer`."""
    return "".join(part[:1].upper() + part[1:] for part in re.findall(r"[A-Za-z0-9]+", name))


def _variable_id(variable: str) -> str:
    """`LEDGER_URL` → `LedgerUrl`."""
    return logical_id(variable.lower())


def logical_ids(names: Iterable[str], make: Callable[[str], str] = logical_id) -> dict[str, str]:
    """By name. Those that would be the same get a piece of their name's hash."""
    plain = {name: make(name) for name in sorted(set(names))}
    taken = list(plain.values())
    return {
        name: short if short and taken.count(short) == 1 else short + hashlib.sha256(name.encode()).hexdigest()[:6]
        for name, short in plain.items()
    }


def url_variable(route: str) -> str:
    """Where deploying finds the address of an alert route: `BUSWAY_ALERT_PAGERDUTY_URL`."""
    return f"BUSWAY_ALERT_{re.sub('[^A-Z0-9]', '_', route.upper())}_URL"


def is_url_variable(variable: str) -> bool:
    return variable.startswith("BUSWAY_ALERT_") and variable.endswith("_URL")
