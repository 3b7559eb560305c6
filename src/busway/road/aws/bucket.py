"""The bucket of an account and region: code and templates by the hash of what they say, and what was deployed when.

code/<sha256>.zip          templates/<sha256>.json          stacks/<stack>.json: the line of what was deployed
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from busway.errors import AwsRefused, AwsUnusable
from busway.road.aws.access import Aws
from busway.road.aws.template import Template, template_hash, template_json
from busway.road.root import AwsSettings

# us-east-1 is where a bucket is made that names no region.
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
_UNNAMED_REGION = "us-east-1"
_MISSING = frozenset(("404", "NoSuchBucket", "NoSuchKey", "NotFound"))


class Past(msgspec.Struct, frozen=True):
    """Something that was deployed: the hash of its template, and the values of its parameters but hidden ones."""

    template: str
    parameters: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of the caller's account: every call says so, as anybody may have made one of this name."""

    aws: Aws
    name: str
    account: str

    def make(self) -> bool:
        """Make it and see that it is private, encrypted and keeps versions; whether it is new. May be made again."""
        of_bucket: dict[str, Any] = {"Bucket": self.name, "ExpectedBucketOwner": self.account}
        new = not self.is_there()
        if new:
            place = {} if self.aws.region == _UNNAMED_REGION else {"LocationConstraint": self.aws.region}
            where = {"CreateBucketConfiguration": place} if place else {}
            self.aws.call("s3", "CreateBucket", Bucket=self.name, **where)
        blocked = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        self.aws.call(
            "s3", "PutPublicAccessBlock", PublicAccessBlockConfiguration=dict.fromkeys(blocked, True), **of_bucket
        )
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        self.aws.call("s3", "PutBucketEncryption", ServerSideEncryptionConfiguration={"Rules": [rule]}, **of_bucket)
        self.aws.call("s3", "PutBucketVersioning", VersioningConfiguration={"Status": "Enabled"}, **of_bucket)
        return new

    def is_there(self) -> bool:
        """Raises AwsUnusable when it is somebody else's."""
        try:
            self.aws.call("s3", "HeadBucket", Bucket=self.name, ExpectedBucketOwner=self.account)
        except AwsRefused as refusal:
            if refusal.code in _MISSING:
                return False
            if refusal.code == "403":
                raise AwsUnusable(
                    f"the bucket {self.name} is not of account {self.account}, or you may not see it",
                    'name another in the environment\'s settings: bucket = "…"; or ask for s3:ListBucket on it',
                ) from refusal
            raise
        return True

    def put(self, key: str, data: bytes) -> bool:
        """Put what is not there yet; keys say what is in them. Whether it was new."""
        of_object = {"Bucket": self.name, "Key": key, "ExpectedBucketOwner": self.account}
        try:
            self.aws.call("s3", "HeadObject", **of_object)
        except AwsRefused as refusal:
            if refusal.code not in _MISSING:
                raise
            self.aws.call("s3", "PutObject", Body=data, **of_object)
            return True
        return False

    def put_template(self, template: Template) -> str:
        """Its address, as CloudFormation takes it."""
        digest = template_hash(template)
        self.put(template_key(digest), template_json(template).encode())
        return self.address(digest)

    def address(self, digest: str) -> str:
        """Where CloudFormation finds a template: by the endpoint that S3's own client uses."""
        endpoint = self.aws.client_of("s3").meta.endpoint_url.rstrip("/")
        return f"{endpoint}/{self.name}/{template_key(digest)}"

    def template(self, digest: str) -> Template:
        return msgspec.json.decode(self._get(template_key(digest)), type=dict[str, Any])

    def line(self, stack: str) -> list[Past]:
        """What led to what is deployed, the oldest first."""
        try:
            return msgspec.json.decode(self._get(_line_key(stack)), type=list[Past])
        except AwsRefused as refusal:
            if refusal.code not in _MISSING:
                raise
            return []

    def put_line(self, stack: str, line: Sequence[Past]) -> None:
        self.aws.call(
            "s3", "PutObject", Bucket=self.name, Key=_line_key(stack), ExpectedBucketOwner=self.account,
            Body=msgspec.json.encode(list(line)),
        )  # fmt: skip

    def _get(self, key: str) -> bytes:
        of_object = {"Bucket": self.name, "Key": key, "ExpectedBucketOwner": self.account}
        return self.aws.call("s3", "GetObject", **of_object)["Body"].read()


def bucket_of(aws: Aws, settings: AwsSettings) -> Bucket:
    """The one that the environment names, else the one of Busway in this account and region."""
    return Bucket(aws, settings.bucket or f"busway-{aws.account}-{aws.region}", aws.account)


def template_key(digest: str) -> str:
    return f"templates/{digest}.json"


def _line_key(stack: str) -> str:
    return f"stacks/{stack}.json"


def line_with(line: Sequence[Past], deployed: Past) -> list[Past]:
    """The line that leads to what is deployed: what came after it was taken back. Pure."""
    if deployed not in line:
        return [*line, deployed]
    return list(line[: len(line) - line[::-1].index(deployed)])


def before(line: Sequence[Past], deployed: Past) -> Past | None:
    """What was deployed before. Pure."""
    upto = line_with(line, deployed)
    return upto[-2] if len(upto) > 1 else None
