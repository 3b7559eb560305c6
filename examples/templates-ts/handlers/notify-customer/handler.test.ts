import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { SESv2Client, type SendEmailCommand } from "@aws-sdk/client-sesv2";
import { EventMismatch } from "busway";
import { localBus } from "busway/testing";
import { notifyCustomer } from "./handler.ts";
import sample from "./sample.json" with { type: "json" };

/** What is sent while the test runs, or a refusal of all of it. */
function sentMail(t: TestContext, refuse = false): SendEmailCommand["input"][] {
  const sent: SendEmailCommand["input"][] = [];
  t.mock.method(SESv2Client.prototype, "send", async (command: SendEmailCommand) => {
    if (refuse) throw Object.assign(new Error("no such address"), { name: "MessageRejected" });
    sent.push(command.input);
  });
  return sent;
}

test("the email goes to whom the event names", async (t) => {
  const sent = sentMail(t);
  await notifyCustomer(sample);
  assert.deepEqual(sent[0]?.Destination?.ToAddresses, sample.resources);
  assert.equal(sent[0]?.Content?.Simple?.Subject?.Data, sample["detail-type"]);
});

test("a refused email is tried again and then kept", async (t) => {
  sentMail(t, true);
  const bus = await localBus(t, notifyCustomer);
  await bus.put(sample);
  await bus.clock.advance("5m");
  assert.equal((await bus.attempts(notifyCustomer)).length, 3);
  const letters = await bus.deadLetters(notifyCustomer);
  assert.deepEqual(letters.map((letter) => letter.errorCode), ["MessageRejected"]);
});

test("an email that is taken later leaves no dead letter", async (t) => {
  const bus = await localBus(t, notifyCustomer);
  sentMail(t, true);
  await bus.put(sample);
  t.mock.restoreAll();
  const sent = sentMail(t);
  await bus.clock.advance("5m");
  assert.equal(sent.length, 1);
  assert.deepEqual(await bus.deadLetters(notifyCustomer), []);
});

test("an event that does not fit is refused", async () => {
  await assert.rejects(notifyCustomer({ ...sample, detail: "nonsense" }), EventMismatch);
});
