import assert from "node:assert/strict";
import { test } from "node:test";
import { EventMismatch } from "busway";
import { localBus } from "busway/testing";
import { keep } from "./handler.ts";
import sample from "./sample.json" with { type: "json" };

test("the sample event is handled", async (t) => {
  const log = t.mock.method(console, "log", () => undefined);
  await keep(sample);
  assert.ok(String(log.mock.calls[0]?.arguments[0]).includes(sample.id));
});

test("what keeps failing is tried again and then kept", async (t) => {
  const bus = await localBus(t, keep);
  // Stands for whatever the handler calls.
  t.mock.method(console, "log", () => {
    throw new TypeError("the service is down");
  });
  await bus.put(sample);
  await bus.clock.advance("5m");
  assert.equal((await bus.attempts(keep)).length, 3);
  const letters = await bus.deadLetters(keep);
  assert.deepEqual(letters.map((letter) => letter.errorCode), ["TypeError"]);
});

test("an event that does not fit is refused", async () => {
  await assert.rejects(keep({ ...sample, detail: "nonsense" }), EventMismatch);
});
