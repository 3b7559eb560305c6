"""SigV4 against botocore's own signer, and against those who would forge one."""

from __future__ import annotations

import random
import string
from datetime import UTC, datetime
from urllib.parse import quote, unquote_to_bytes, urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings, strategies as st

from busway.aws.errors import AwsError
from busway.aws.gate import AccessKey, Gate, Identity, Keys
from busway.aws.signature import (
    AUTHORITY,
    WINDOW_S,
    Signable,
    amz_date,
    canonical_request,
    parse_authorization,
    sign,
    signature,
    signing_key,
)
from busway.clock import ManualClock

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12)
SEGMENTS = st.lists(TEXT.filter(lambda s: s not in (".", "..")), max_size=4)
QUERIES = st.lists(st.tuples(TEXT, st.text(max_size=8)), max_size=4)
VALUES = st.text(st.sampled_from(string.ascii_letters + string.digits + " -_=;,/.:"), max_size=20)
NAMES = st.sampled_from(["Content-Type", "X-Amz-Target", "X-Amz-Meta", "Accept", "X-Other", "User-Agent"])


def url_of(segments: list[str], query: list[tuple[str, str]]) -> str:
    path = "/" + "/".join(quote(segment, safe="") for segment in segments)
    pairs = "&".join(f"{quote(n, safe='-_.~')}={quote(v, safe='-_.~')}" for n, v in query)
    return f"http://localhost:4566{path}{'?' + pairs if pairs else ''}"


def signable(method: str, url: str, headers: dict[str, str], body: bytes) -> Signable:
    parts = urlsplit(url)
    lowered = {name.lower().encode(): value.encode("latin-1") for name, value in headers.items()}
    return Signable(method, parts.path.encode() or b"/", parts.query.encode(), lowered, body)


def admit(gate: Gate, request: Signable) -> Identity:
    return gate.admit(gate.identify(request.headers), request)


def strict(clock: ManualClock, key: AccessKey | None = None) -> Gate:
    return Gate(clock, Keys({KEY: key or AccessKey(SECRET)}))


@settings(max_examples=150, deadline=None)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    segments=SEGMENTS,
    query=QUERIES,
    headers=st.dictionaries(NAMES, VALUES, max_size=4),
    body=st.binary(max_size=60),
    region=st.sampled_from(["us-east-1", "eu-west-1"]),
    token=st.none() | st.just("session/token=="),
)
def test_botocore_and_busway_sign_alike_and_what_botocore_signs_is_admitted(
    method: str,
    segments: list[str],
    query: list[tuple[str, str]],
    headers: dict[str, str],
    body: bytes,
    region: str,
    token: str | None,
):
    url = url_of(segments, query)
    request = AWSRequest(method=method, url=url, headers=dict(headers), data=body)
    SigV4Auth(Credentials(KEY, SECRET, token), "events", region).add_auth(request)
    theirs = {**dict(request.headers.items()), "Host": "localhost:4566"}
    at = datetime.strptime(theirs["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    ours = sign(method, url, headers, body, KEY, SECRET, region, "events", at, token=token)
    assert ours == theirs
    gate = strict(ManualClock(at), AccessKey(SECRET, token=token))
    assert admit(gate, signable(method, url, theirs, body)).scope.region == region


def meaning(request: Signable) -> tuple[object, ...]:
    """What an operation could read of a request that its signature covers."""
    pairs = [pair.partition(b"=") for pair in request.query.split(b"&")]
    query = sorted((unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in pairs)
    covered = {n: b" ".join(v.split()) for n, v in request.headers.items() if n != b"authorization"}
    try:
        signed: object = parse_authorization(request.headers[b"authorization"])
    except AwsError:
        signed = request.headers[b"authorization"]
    return request.method, request.path, query, covered, request.body, signed


def mutate(request: Signable, chance: random.Random) -> Signable:
    headers = dict(request.headers)
    method, path, query, body = request.method, request.path, request.query, request.body

    def changed(text: bytes) -> bytes:
        place = chance.randrange(len(text) + 1)
        kind = chance.randrange(3)
        new = bytes([chance.choice(b"abcdefXYZ0123456789/%;=&, .+-_\x00\xff")])
        if kind == 0 or not text:
            return text[:place] + new + text[place:]
        return text[:place] + (new if kind == 1 else b"") + text[place + 1 :]

    what = chance.randrange(8)
    if what == 0:
        method = chance.choice(["GET", "PUT", "DELETE", "PATCH", "post"])
    elif what == 1:
        path = changed(path)
    elif what == 2:
        query = changed(query)
    elif what == 3:
        body = changed(body)
    elif what == 4:
        headers[b"authorization"] = changed(headers[b"authorization"])
    elif what == 5:
        name = chance.choice([b"x-amz-date", b"x-amz-target", b"host", b"content-type", b"x-amz-content-sha256"])
        headers[name] = changed(headers.get(name, b""))
    elif what == 6:
        headers[b"x-amz-" + bytes([chance.choice(b"abc")])] = b"added"
    else:
        del headers[chance.choice(list(headers))]
    return Signable(method, path, query, headers, body)


def test_none_of_ten_thousand_mutations_of_a_signed_request_is_admitted():
    clock = ManualClock()
    gate = strict(clock)
    url = "http://localhost:4566/2015-03-31/functions/orders%3Alive/invocations?Qualifier=1&b=x%20y"
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "AWSEvents.PutEvents"}
    body = b'{"Entries":[{"Source":"shop"}]}'
    valid = signable(
        "POST", url, sign("POST", url, headers, body, KEY, SECRET, "eu-west-1", "events", clock.now()), body
    )
    admit(gate, valid)
    chance, wanted, tried = random.Random(7), meaning(valid), 0
    while tried < 10_000:
        forged = mutate(valid, chance)
        if b"authorization" in forged.headers and meaning(forged) == wanted:
            continue
        tried += 1
        with pytest.raises(AwsError) as refused:
            admit(gate, forged)
        assert refused.value.status in (400, 403)


def refusal(gate: Gate, clock: ManualClock, **changes: object) -> AwsError:
    """What a request that is signed rightly, then changed, is told."""
    url = str(changes.get("url", "http://localhost:4566/"))
    given_headers = changes.get("sign_headers", {})
    assert isinstance(given_headers, dict)
    headers = sign(
        "POST", url, given_headers, b"{}", str(changes.get("key", KEY)), str(changes.get("secret", SECRET)),
        "eu-west-1", "events", clock.now() + float(str(changes.get("skew", 0))),
    )  # fmt: skip
    added = changes.get("headers", {})
    assert isinstance(added, dict)
    with pytest.raises(AwsError) as refused:
        admit(gate, signable("POST", url, headers | added, b"{}"))
    return refused.value


def test_a_signature_is_good_for_fifteen_minutes_either_side_and_not_a_second_more():
    clock = ManualClock()
    gate = strict(clock)
    for skew in (-WINDOW_S, WINDOW_S):
        url = "http://localhost:4566/"
        headers = sign("POST", url, {}, b"{}", KEY, SECRET, "eu-west-1", "events", clock.now() + skew)
        admit(gate, signable("POST", url, headers, b"{}"))
    assert "Signature expired" in refusal(gate, clock, skew=-WINDOW_S - 1).message
    assert "Signature not yet current" in refusal(gate, clock, skew=WINDOW_S + 1).message


def test_over_http_2_the_host_is_signed_as_the_authority():
    """As AWS's SDK for Node does; what is signed is the host that the gate has seen."""
    clock = ManualClock()
    date = amz_date(clock.now())
    names = (AUTHORITY, b"x-amz-date", b"x-amz-target")
    headers = {b"host": b"localhost:4566", b"x-amz-date": date.encode(), b"x-amz-target": b"A.B"}
    request = Signable("POST", b"/", b"", headers, b"{}")
    key = signing_key(SECRET, date[:8], "us-east-1", "kinesis")
    found = signature(request, names, key, f"{date[:8]}/us-east-1/kinesis", date.encode()).decode()
    assert b"\n:authority:localhost:4566\n" in canonical_request(request, names)
    headers[b"authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={KEY}/{date[:8]}/us-east-1/kinesis/aws4_request, "
        f"SignedHeaders={b';'.join(names).decode()}, Signature={found}"
    ).encode()
    assert admit(strict(clock), request).service == "kinesis"
    headers[b"host"] = b"localhost:1"
    with pytest.raises(AwsError, match="does not match the signature"):
        admit(strict(clock), request)


def test_a_wrong_secret_and_an_unknown_key_are_refused_with_aws_codes():
    clock = ManualClock()
    gate = strict(clock)
    wrong, unknown = refusal(gate, clock, secret="other"), refusal(gate, clock, key="AKIDOTHER")
    assert (wrong.code, wrong.status) == ("InvalidSignatureException", 403)
    assert (unknown.code, unknown.status) == ("UnrecognizedClientException", 403)


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"X-Amz-Target": "AWSEvents.PutEvents"}, "must be signed"),
        ({"Content-Type": "application/json"}, "must be signed"),
        ({"X-Amz-Security-Token": "t"}, "must be signed"),
        ({"X-Amz-Date": "20261123"}, "X-Amz-Date"),
        ({"X-Amz-Date": "20269999T999999Z"}, "Date in Credential scope"),
    ],
)
def test_what_an_operation_reads_must_be_signed(headers: dict[str, str], words: str):
    clock = ManualClock()
    assert words in refusal(strict(clock), clock, headers=headers).message


@pytest.mark.parametrize("mode", ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "0" * 64])
def test_a_payload_mode_other_than_the_hash_of_the_body_is_refused(mode: str):
    clock = ManualClock()
    assert refusal(strict(clock), clock, sign_headers={"X-Amz-Content-SHA256": mode}).status == 403


@pytest.mark.parametrize("path", ["//", "/a//b", "/a/./b", "/a/../b", "/..", "/?X-Amz-Signature=0"])
def test_a_path_that_could_be_read_in_two_ways_is_refused(path: str):
    clock = ManualClock()
    assert refusal(strict(clock), clock, url=f"http://localhost:4566{path}").status == 400


def test_temporary_credentials_need_their_token_and_expire():
    clock = ManualClock()
    keys = Keys({KEY: AccessKey(SECRET, token="right", expires_at=clock.now() + 60)})
    gate = Gate(clock, keys)

    def ask(token: str | None) -> str:
        url = "http://localhost:4566/"
        headers = sign("POST", url, {}, b"", KEY, SECRET, "us-east-1", "sqs", clock.now(), token=token)
        try:
            return admit(gate, signable("POST", url, headers, b"")).access_key
        except AwsError as error:
            return error.code

    assert [ask("right"), ask("wrong"), ask(None)] == [KEY, *["UnrecognizedClientException"] * 2]
    keys.add(KEY, AccessKey(SECRET, token="right", expires_at=clock.now() - 1))
    assert ask("right") == "UnrecognizedClientException"
    keys.remove(KEY)
    assert ask("right") == "UnrecognizedClientException"


def test_a_key_given_a_new_secret_is_not_verified_with_the_old_one():
    clock = ManualClock()
    gate = strict(clock)
    url = "http://localhost:4566/"
    headers = sign("POST", url, {}, b"", KEY, SECRET, "us-east-1", "sqs", clock.now())
    admit(gate, signable("POST", url, headers, b""))
    gate.keys.add(KEY, AccessKey("new"))
    with pytest.raises(AwsError):
        admit(gate, signable("POST", url, headers, b""))


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "MissingAuthenticationTokenException"),
        (b"", "MissingAuthenticationTokenException"),
        (b"Bearer x", "MissingAuthenticationTokenException"),
        (b"AWS4-HMAC-SHA256", "IncompleteSignatureException"),
        (b"AWS4-HMAC-SHA256 Credential=a/20260101/r/s/aws4_request", "IncompleteSignatureException"),
        (
            b"AWS4-HMAC-SHA256 Credential=a/b/20260101/r/s/aws4_request, SignedHeaders=host, Signature=" + b"0" * 64,
            "IncompleteSignatureException",
        ),
        (
            b"AWS4-HMAC-SHA256 Credential=a/20260101/r/s/aws4_request, SignedHeaders=host, Signature=" + b"0" * 63,
            "IncompleteSignatureException",
        ),
        (
            b"AWS4-HMAC-SHA256 Credential=\xff/20260101/r/s/aws4_request, SignedHeaders=host, Signature=" + b"0" * 64,
            "IncompleteSignatureException",
        ),
    ],
)
def test_an_authorization_of_another_form_is_refused_with_aws_codes(header: bytes | None, code: str):
    with pytest.raises(AwsError) as refused:
        parse_authorization(header)
    assert (refused.value.code, refused.value.status) == (code, 403)


def test_the_example_of_the_documentation_gives_the_documented_signing_key():
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/ (derive a signing key), as printed there for years."""
    key = signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830", "us-east-1", "iam")
    assert key.hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"


def test_dates_are_written_as_the_header_has_them():
    assert amz_date(1_763_916_868.9) == "20251123T165428Z"
