"""A handler's secrets on AWS: taken from Secrets Manager into its variables before its code is loaded.

A function's own variables can be read by whoever may see its configuration, so there it is only told the secrets'
names (`BUSWAY_SECRETS`); on a Busway server the worker is started with the values. Light: runs in a Lambda zip.
"""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from typing import Any, cast

SECRETS = "BUSWAY_SECRETS"


def unseal(environ: MutableMapping[str, str], client: Any = None) -> None:
    """Set each variable that `BUSWAY_SECRETS` names, as a JSON object, to the secret that it names for it.

    A value that changes is seen by the next start of a function. Raises what boto3 raises for a secret that is not
    there or may not be read: then the function does not start, and says which secret it was.
    """
    named: dict[str, str] = json.loads(environ.get(SECRETS) or "{}")
    for variable, name in named.items():
        if client is None:
            # Only here: boto3 is part of Lambda's runtime, and of no worker that needs it.
            import boto3  # pyright: ignore

            client = cast(Any, boto3).client("secretsmanager")
        try:
            found = client.get_secret_value(SecretId=name)
        except client.exceptions.ClientError as error:
            error.args = (f"secret {name}, for {variable}: {error}",)
            raise
        environ[variable] = found["SecretString"]
