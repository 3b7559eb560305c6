import assert from "node:assert/strict";
import { test } from "node:test";
import { localBus } from "busway/testing";
import { nightly } from "./handler.ts";
import sample from "./sample.json" with { type: "json" };

test("what is due is done", async (t) => {
  const log = t.mock.method(console, "log", () => undefined);
  await nightly(sample);
  assert.equal(log.mock.calls[0]?.arguments[0], `due at ${sample.time}`);
});

test("what keeps failing is tried again and then kept", async (t) => {
  const bus = await localBus(t, nightly);
  // Stands for whatever the handler calls.
  t.mock.method(console, "log", () => {
    throw new TypeError("the service is down");
  });
  await bus.fire(nightly);
  await bus.clock.advance("5m");
  assert.equal((await bus.attempts(nightly)).length, 3);
  const letters = await bus.deadLetters(nightly);
  assert.deepEqual(letters.map((letter) => letter.errorCode), ["TypeError"]);
});
