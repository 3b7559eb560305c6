"""The services at the door, by botocore's names: one thin file each.

`server` makes them with the rooms that they need; `scripts/coverage.py` lists what they can.
"""

from __future__ import annotations

SERVICES = {
    "cloudwatch": "busway.aws.services.cloudwatch:CloudWatch",
    "events": "busway.aws.services.events:Events",
    "kinesis": "busway.aws.services.kinesis:Kinesis",
    "lambda": "busway.aws.services.lambda_:Lambda",
    "logs": "busway.aws.services.logs:Logs",
    "secretsmanager": "busway.aws.services.secretsmanager:SecretsManager",
    "sesv2": "busway.aws.services.sesv2:SesV2",
    "sns": "busway.aws.services.sns:Sns",
    "sqs": "busway.aws.services.sqs:Sqs",
    "sts": "busway.aws.services.sts:Sts",
}
