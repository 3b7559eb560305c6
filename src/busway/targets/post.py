"""One HTTP POST to who is told of something, and what came of it. Trying again is the outbox's."""

from __future__ import annotations

import logging
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
# Ours: as much of an endpoint's answer is read as is shown of it.
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
        """What an endpoint of a topic makes of it."""
        import httpx

        try:
            async with self._clock.timeout(TIMEOUT_S):
                status, _, answer = await self.ask(url, headers, body, ANSWER_BYTES_MAX)
        except (httpx.TimeoutException, TimeoutError) as error:
            return Failed("TIMEOUT", f"POST {url}: no answer within {TIMEOUT_S:g} s ({type(error).__name__})", True)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return Failed("CONNECTION_FAILURE", f"POST {url}: {type(error).__name__}: {error}", True)
        if 200 <= status < 300:
            return Delivered()
        code = "THROTTLING" if status == TOO_MANY_REQUESTS else "ERROR_FROM_TARGET"
        shown = answer.decode(errors="replace")
        return Failed(code, f"POST {url} answered {status}: {shown}", status >= 500 or status == TOO_MANY_REQUESTS)

    async def ask(
        self, url: str, headers: Mapping[str, str], body: bytes, answer_bytes_max: int
    ) -> tuple[int, httpx.Headers, bytes]:
        """Status, headers and the beginning of the answer. Raises `httpx.HTTPError`, `httpx.InvalidURL`, OSError."""
        # An answer that is short only while it is compressed would pass by the limit.
        asked = {"accept-encoding": "identity", "user-agent": "Busway", **headers}
        async with self._client(is_loopback(url)).stream("POST", url, content=body, headers=asked) as response:
            answer = b""
            async for chunk in response.aiter_raw():
                answer += chunk[: answer_bytes_max - len(answer)]
                if len(answer) >= answer_bytes_max:
                    break
            return response.status_code, response.headers, answer

    def _client(self, direct: bool) -> httpx.AsyncClient:
        """One for each way out; `direct` passes by the environment's proxies."""
        import httpx

        if direct not in self._clients:
            # It tells each URL that is asked, and one may be a secret.
            logging.getLogger("httpx").setLevel(logging.WARNING)
            # SSL_CERT_FILE first, as OpenSSL's own tools do, so that a private authority works.
            context = ssl.create_default_context(cafile=self._environ.get("SSL_CERT_FILE") or None)
            # Redirects are not followed: they would carry the message, and secrets, to whoever the answer names.
            self._clients[direct] = httpx.AsyncClient(
                verify=context, timeout=TIMEOUT_S, follow_redirects=False, trust_env=not direct
            )
        return self._clients[direct]
