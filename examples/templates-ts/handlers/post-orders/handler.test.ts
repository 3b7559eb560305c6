import assert from "node:assert/strict";
import { test } from "node:test";
import { batchOf, localBus } from "busway/testing";
import { postOrders } from "./handler.ts";
import sample from "./sample.json" with { type: "json" };

test("a batch is handled", async (t) => {
  const log = t.mock.method(console, "log", () => undefined);
  assert.deepEqual(await postOrders(["1", "2", "3"].map((id) => ({ ...sample, id }))), []);
  assert.equal(log.mock.callCount(), 3);
});

test("what keeps failing is tried again and then kept", async (t) => {
  const bus = await localBus(t, postOrders);
  // Stands for whatever the handler calls.
  t.mock.method(console, "log", () => {
    throw new TypeError("the service is down");
  });
  await bus.put(sample);
  await bus.clock.advance("2m");
  assert.equal((await bus.attempts(postOrders)).length, 6);
  const letters = await bus.deadLetters(postOrders);
  assert.deepEqual(letters.map((letter) => letter.errorCode), ["TypeError"]);
});

test("an event that does not fit fails alone", async () => {
  const report = await postOrders(batchOf([sample, { ...sample, detail: "nonsense" }]));
  assert.deepEqual(report, { batchItemFailures: [{ itemIdentifier: "2" }] });
});
