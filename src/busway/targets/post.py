"""One HTTP POST to an endpoint of a topic, and what came of it. Trying again is the outbox's."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING

from busway.alert.routes import is_loopback
from busway.clock import Clock
from busway.delivery import Delivered, Failed, Outcome

if TYPE_CHECKING:
    # It takes a tenth of a second to import: only where something is sent, and not at every start.
    import httpx

# 5xx and 429 are tried again, every other refusal is final, and an endpoint has 15 seconds:
# https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html
# https://docs.aws.amazon.com/sns/latest/dg/SendMessageToHttp.prepare.html
TIMEOUT_S = 15.0
TOO_MANY_REQUESTS = 429
# Ours: as much of an answer is read as is shown of it.
ANSWER_BYTES_MAX = 300


class Poster:
    """Sends. `environ` is where SSL_CERT_FILE is looked up."""

    def __init__(self, clock: Clock, environ: Mapping[str, str]) -> None:
        self._clock, self._environ = clock, environ
        self._clients: dict[bool, httpx.AsyncClient] = {}

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        import httpx

        try:
            async with self._clock.timeout(TIMEOUT_S):
                status, answer = await self._answer(url, headers, body)
        except (httpx.TimeoutException, TimeoutError) as error:
            return Failed("TIMEOUT", f"POST {url}: no answer within {TIMEOUT_S:g} s ({type(error).__name__})", True)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return Failed("CONNECTION_FAILURE", f"POST {url}: {type(error).__name__}: {error}", True)
        if 200 <= status < 300:
            return Delivered()
        code = "THROTTLING" if status == TOO_MANY_REQUESTS else "ERROR_FROM_TARGET"
        shown = answer.decode(errors="replace")
        return Failed(code, f"POST {url} answered {status}: {shown}", status >= 500 or status == TOO_MANY_REQUESTS)

    async def _answer(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        # An answer that is short only while it is compressed would pass by the limit.
        asked = {"accept-encoding": "identity", **headers}
        async with self._client(is_loopback(url)).stream("POST", url, content=body, headers=asked) as response:
            answer = b""
            async for chunk in response.aiter_raw():
                answer += chunk[: ANSWER_BYTES_MAX - len(answer)]
                if len(answer) >= ANSWER_BYTES_MAX:
                    break
            return response.status_code, answer

    def _client(self, direct: bool) -> httpx.AsyncClient:
        """One for each way out; `direct` passes by the environment's proxies."""
        import httpx

        if direct not in self._clients:
            # SSL_CERT_FILE first, as OpenSSL's own tools do, so that a private authority works.
            context = ssl.create_default_context(cafile=self._environ.get("SSL_CERT_FILE") or None)
            # Redirects are not followed: what was published is for the endpoint that confirmed, and no other.
            self._clients[direct] = httpx.AsyncClient(
                verify=context, timeout=TIMEOUT_S, follow_redirects=False, trust_env=not direct
            )
        return self._clients[direct]
