"""How a function's variable names a secret: `{{resolve:secretsmanager:shop/STRIPE_KEY}}`. Pure.

CloudFormation's words for the same thing, so a template that is deployed to AWS says what we say here. Looking the
secret up when a worker starts is ours: Lambda's own API takes the text as it is.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references-secretsmanager.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_REFERENCE = re.compile(r"\{\{resolve:secretsmanager:([A-Za-z0-9/_+=.@!-]{1,512})(?::SecretString)?\}\}")


def secret_name(project: str, variable: str) -> str:
    """The name under which a project's secret is kept: two projects on one server do not meet."""
    return f"{project}/{variable}"


def reference(name: str) -> str:
    """What a variable holds that stands for the secret."""
    return f"{{{{resolve:secretsmanager:{name}}}}}"


def named_in(value: str) -> str | None:
    """The secret that a variable's value stands for; None for any other value."""
    found = _REFERENCE.fullmatch(value)
    return found and found[1]


def names_in(environment: Mapping[str, str]) -> Iterable[str]:
    """Every secret that a function's variables stand for."""
    return (name for value in environment.values() if (name := named_in(value)))
