"""Amazon Resource Names: the names of everything, and who owns it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

# What a client without a configured account is given (LocalStack's habit, which its users' scripts rely on).
DEFAULT_ACCOUNT = "000000000000"
DEFAULT_REGION = "us-east-1"
DEFAULT_BUS = "default"
# What stands behind a handler's name in that of its queue of dead letters, and of the alarm on it.
DEAD_LETTERS = "-dead-letters"


@dataclass(frozen=True, slots=True)
class Scope:
    """The account and Region in which a caller works; every name is unique within one scope."""

    account: str = DEFAULT_ACCOUNT
    region: str = DEFAULT_REGION

    def arn(self, service: str, resource: str) -> str:
        """`scope.arn("sqs", "orders")` is `arn:aws:sqs:us-east-1:000000000000:orders`."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def rule_arn(self, bus: str, name: str) -> str:
        return self.arn("events", rule_resource(bus, name))


@dataclass(frozen=True, slots=True)
class Arn:
    """An ARN in its parts; `str()` gives it back."""

    service: str
    region: str
    account: str
    resource: str
    partition: str = "aws"

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"

    @property
    def scope(self) -> Scope:
        return Scope(self.account, self.region)

    @property
    def name(self) -> str:
        """The last part of the resource: `rule/orders/big` gives `big`, `function:mail:live` gives `mail`."""
        if self.resource.startswith("function:"):
            return self.resource.split(":")[1]
        return self.resource.replace(":", "/").rsplit("/", 1)[-1]


def rule_resource(bus: str, name: str) -> str:
    """What stands for a rule in its ARN: on the default bus the bus's name is left out."""
    return f"rule/{name}" if bus == DEFAULT_BUS else f"rule/{bus}/{name}"


def parse_arn(text: str) -> Arn | None:
    """The parts of an ARN, or None when the text isn't one."""
    parts = text.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or not parts[2] or not parts[5]:
        return None
    return Arn(partition=parts[1], service=parts[2], region=parts[3], account=parts[4], resource=parts[5])


def scope_of(arn: str) -> Scope:
    """The account and Region in an ARN; the default ones of what is none."""
    parsed = parse_arn(arn)
    return parsed.scope if parsed else Scope()
