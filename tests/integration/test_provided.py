"""Executables as functions: the `bootstrap` of the zip, which speaks the Runtime API over TCP."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from textwrap import dedent

import pytest

from busway.function.definitions.code_store import Zip
from busway.function.definitions.registry import Configuration

from .function_workshop import Workshop, workshop
from .packages import CACHE, packed

# Generous: the first build of a day compiles the standard library too.
COMPILE_S = 300

# The shortest client of the Runtime API there is: everything it needs is on any machine with Python.
SCRIPT = """\
    #!/usr/bin/env python3
    import json, os, urllib.request
    api = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"
    while True:
        with urllib.request.urlopen(f"{api}/next") as next_event:
            event, about = json.load(next_event), next_event.headers
        arn = about["Lambda-Runtime-Invoked-Function-Arn"]
        answer = {"got": event, "handler": os.environ["_HANDLER"], "arn": arn}
        kind, body = "response", answer
        if event == "fail":
            kind, body = "error", {"errorType": "Refused", "errorMessage": "no"}
        print("served", event, flush=True)
        path = f"{api}/{about['Lambda-Runtime-Aws-Request-Id']}/{kind}"
        urllib.request.urlopen(urllib.request.Request(path, json.dumps(body).encode(), method="POST")).close()
"""


async def create(shop: Workshop, bootstrap: str | bytes, *, name: str = "bootstrap", runtime: str) -> None:
    code = packed({name: bootstrap})
    wanted = Configuration(runtime=runtime, handler="any.thing", timeout_s=20)
    await shop.functions.registry.create(shop.arn("f"), Zip(code), wanted)


@pytest.mark.parametrize("runtime", ["provided", "provided.al2", "provided.al2023"])
async def test_the_bootstrap_of_the_zip_is_run(runtime: str, tmp_path: Path):
    async with workshop(tmp_path) as shop:
        await create(shop, SCRIPT, runtime=runtime)
        for event in (1, {"a": "ä"}):
            assert await shop.ask("f", event) == {"got": event, "handler": "any.thing", "arn": shop.arn("f")}
        error = await shop.fail("f", "fail")
        assert error == {"errorType": "Refused", "errorMessage": "no"}
        assert await shop.ask("f", "again") is not None
        assert "served again" in await shop.lines("f")


@pytest.mark.parametrize(
    ("name", "bootstrap", "status", "said"),
    [
        ("other", "", 127, "./bootstrap could not be started: No such file or directory"),
        ("bootstrap", "neither script nor program", 126, "./bootstrap could not be started: Exec format error"),
        ("bootstrap", "#!/bin/sh\nexit 3\n", 3, ""),
    ],
)
async def test_a_bootstrap_that_does_not_run_is_an_error_that_says_why(
    name: str, bootstrap: str, status: int, said: str, tmp_path: Path
):
    async with workshop(tmp_path) as shop:
        await create(shop, bootstrap, name=name, runtime="provided.al2023")
        error = await shop.fail("f")
        assert error["errorType"] == "Runtime.ExitError"
        assert error["errorMessage"].endswith(f"exit status {status}")
        assert not said or said in await shop.lines("f")


# Its own HTTP client: net/http alone takes most of a minute to compile the first time.
GO = """
    package main

    import (
        "bufio"
        "fmt"
        "io"
        "net"
        "os"
        "strconv"
        "strings"
    )

    const api = "/2018-06-01/runtime/invocation/"

    // read gives the request id and the body of one response.
    func read(from *bufio.Reader) (id string, body []byte) {
        size := 0
        for {
            line, err := from.ReadString('\\n')
            if err != nil {
                os.Exit(1)
            }
            name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
            switch strings.ToLower(name) {
            case "lambda-runtime-aws-request-id":
                id = value
            case "content-length":
                size, _ = strconv.Atoi(value)
            case "":
                body = make([]byte, size)
                io.ReadFull(from, body)
                return
            }
        }
    }

    func main() {
        server, err := net.Dial("tcp", os.Getenv("AWS_LAMBDA_RUNTIME_API"))
        if err != nil {
            os.Exit(1)
        }
        from := bufio.NewReader(server)
        for {
            fmt.Fprintf(server, "GET %snext HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n", api)
            id, event := read(from)
            n, _ := strconv.Atoi(string(event))
            fmt.Println("doubling", n)
            answer := strconv.Itoa(n * 2)
            head := "POST %s%s/response HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: %d\\r\\n\\r\\n%s"
            fmt.Fprintf(server, head, api, id, len(answer), answer)
            read(from)
        }
    }
"""


@pytest.mark.needs("go")
async def test_a_go_program_serves_events(tmp_path: Path):
    source = tmp_path / "main.go"
    source.write_text(dedent(GO))
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local",
                   "GOCACHE": str(CACHE / "go")}  # fmt: skip
    subprocess.run(
        ["go", "build", "-o", "bootstrap", source.name], cwd=tmp_path, env=environment, check=True, timeout=COMPILE_S
    )
    async with workshop(tmp_path / "data") as shop:
        await create(shop, (tmp_path / "bootstrap").read_bytes(), runtime="provided.al2023")
        assert [await shop.ask("f", n) for n in range(3)] == [0, 2, 4]
        assert "doubling 2" in await shop.lines("f")


C = """
    /* Speaks the Runtime API with nothing but sockets: one event at a time, answers with its size. */
    #include <arpa/inet.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <strings.h>
    #include <unistd.h>

    int main(void) {
        char host[64] = "", in[65536], id[64], out[1024];
        int port;
        sscanf(getenv("AWS_LAMBDA_RUNTIME_API"), "%63[^:]:%d", host, &port);
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = inet_addr(host)};
        for (;;) {
            int server = socket(AF_INET, SOCK_STREAM, 0);
            if (connect(server, (void *)&to, sizeof to)) return 1;
            dprintf(server, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n");
            ssize_t got = read(server, in, sizeof in - 1);
            if (got <= 0) return 1;
            in[got] = 0;
            sscanf(strcasestr(in, "aws-request-id: ") + 16, "%63[^\\r]", id);
            int size = snprintf(out, sizeof out, "{\\"bytes\\": %zu}", strlen(strstr(in, "\\r\\n\\r\\n") + 4));
            dprintf(server, "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\\r\\nHost: x\\r\\n"
                    "Content-Length: %d\\r\\n\\r\\n%s", id, size, out);
            if (read(server, in, sizeof in) <= 0) return 1;
            close(server);
        }
    }
"""


@pytest.mark.needs("cc")
async def test_a_c_program_that_connects_anew_for_each_event_serves_them(tmp_path: Path):
    source = tmp_path / "main.c"
    source.write_text(dedent(C))
    compiler = shutil.which("cc") or "cc"
    subprocess.run(
        [compiler, "-D_GNU_SOURCE", "-O1", "-o", "bootstrap", source.name],
        cwd=tmp_path,
        check=True,
        timeout=COMPILE_S,
    )
    async with workshop(tmp_path / "data") as shop:
        await create(shop, (tmp_path / "bootstrap").read_bytes(), runtime="provided.al2")
        assert [await shop.ask("f", event) for event in ("abc", [])] == [{"bytes": 5}, {"bytes": 2}]
