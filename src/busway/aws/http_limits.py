"""What one client may cost the HTTP server. Ours, all of them."""

from __future__ import annotations

# SDKs keep connections for reuse; a server that closes first makes them retry.
KEEP_ALIVE_S = 75
HEAD_READ_S = 30.0
# From the first byte of a request to its last: longer than the gateway waits for a body, so this ends only those
# connections that go on sending a body after it was refused.
REQUEST_READ_S = 180.0
SWEEP_S = 5.0
HEAD_BYTES_MAX = 64 * 1024
HEADERS_MAX = 128
CONNECTIONS_MAX = 4096
GRACE_S = 10
BACKLOG = 1024

# HTTP/2: requests at once on one connection; bytes of each one's body that may come before somebody reads them; and
# of all bodies of the connection together, read or not, until their requests are answered. Beyond it the oldest
# request still gets its whole body, as long as the bodies that are whole already keep within it.
STREAMS_MAX = 128
STREAM_WINDOW = 128 * 1024
CONNECTION_WINDOW = STREAMS_MAX * STREAM_WINDOW
CONNECTION_BODIES_MAX = 16 * 1024 * 1024
# How many more requests a client may take back than it waited for: one that opens and resets streams as fast as it
# can makes work for nothing (CVE-2023-44487).
RESETS_MAX = 200
