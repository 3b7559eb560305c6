// The bus of one test. It runs in a process of Busway, which `busway test` names; handlers are called here.
// @ts-check
import { once } from "node:events";
import { connect } from "node:net";
import { createInterface } from "node:readline";

const HANDLER = Symbol.for("busway.handler");

/** @param {{ after(end: () => void): void }} t @param {...any} handlers */
export async function localBus(t, ...handlers) {
  const path = process.env["BUSWAY_TEST_BUS"];
  if (!path) throw new Error("localBus asks Busway itself: run the tests with `busway test`");
  const socket = connect(path);
  await once(socket, "connect");
  const bus = new Bus(socket, handlers);
  t.after(() => bus.close());
  for (const [number, handler] of handlers.entries()) {
    const made = handler?.[HANDLER];
    if (handler?.EventPattern) {
      await bus.ask("add_rule", { name: number, rule: handler });
      continue;
    }
    if (!made) throw new TypeError(`localBus got ${typeof handler}; wanted what handler(...) made, or a rule`);
    const { event, options, batch } = made;
    await bus.ask("add", { name: number, source: event.source, detail_type: event.detailType, options, batch });
  }
  return {
    put: (/** @type {any} */ event) => bus.ask("put", { entry: "DetailType" in event ? event : entryOf(event) }),
    fire: (/** @type {any} */ handler) => bus.ask("fire", { name: bus.nameOf(handler) }),
    attempts: (/** @type {any} */ handler) => bus.ask("attempts", { name: bus.nameOf(handler) }),
    handled: (/** @type {any} */ handler) => bus.ask("handled", { name: bus.nameOf(handler) }),
    sent: (/** @type {any} */ rule) => bus.ask("sent", { name: bus.nameOf(rule) }),
    deadLetters: (/** @type {any} */ handler) => bus.ask("dead_letters", { name: bus.nameOf(handler) }),
    clock: {
      now: () => bus.ask("now", {}),
      advance: (/** @type {any} */ time) => bus.ask("advance", { time }),
    },
  };
}

/** @param {readonly unknown[]} events @param {"stream" | "queue"} [source] */
export function batchOf(events, source = "stream") {
  const record = source === "stream" ? recordOf : messageOf;
  return { Records: events.map((event, place) => record(String(place + 1), JSON.stringify(event))) };
}

/** @param {string} number @param {string} body */
function recordOf(number, body) {
  const data = Buffer.from(body).toString("base64");
  const kinesis = { kinesisSchemaVersion: "1.0", partitionKey: "key", sequenceNumber: number, data };
  return { kinesis, eventSource: "aws:kinesis", eventID: `shardId-000000000000:${number}`, awsRegion: "us-east-1" };
}

/** @param {string} number @param {string} body */
function messageOf(number, body) {
  const about = { messageId: number, receiptHandle: number, body, attributes: {}, messageAttributes: {} };
  return { ...about, eventSource: "aws:sqs", eventSourceARN: "arn:aws:sqs:us-east-1:000000000000:tests" };
}

/** @param {Record<string, any>} event */
function entryOf(event) {
  const { source, "detail-type": detailType, resources, detail } = event;
  return { Source: source, DetailType: detailType, Detail: JSON.stringify(detail), Resources: resources };
}

/** Where in the project it was thrown. @param {string} stack */
function placeIn(stack) {
  const place = /[^\s(/]*\/?(?:events|handlers)\/[^()\s]+:\d+/.exec(stack)?.[0];
  return place ? ` (${place})` : "";
}

/** A line each way: we ask one thing at a time, and on the way to its answer are told which handlers to call. */
class Bus {
  /** @param {import("node:net").Socket} socket @param {any[]} handlers */
  constructor(socket, handlers) {
    this.handlers = handlers;
    this.socket = socket;
    this.lines = createInterface({ input: socket })[Symbol.asyncIterator]();
    this.turn = Promise.resolve();
  }

  close() {
    this.socket.destroy();
  }

  /** @param {any} handler */
  nameOf(handler) {
    const name = this.handlers.indexOf(handler);
    if (name < 0) throw new TypeError("this handler is not on the bus: give it to localBus");
    return name;
  }

  /** @param {string} what @param {object} about @returns {Promise<any>} */
  ask(what, about) {
    const answer = this.turn.then(() => this.answered({ ask: what, ...about }));
    this.turn = answer.catch(() => undefined);
    return answer;
  }

  /** @param {object} question */
  async answered(question) {
    this.tell(question);
    for (;;) {
      const { done, value } = await this.lines.next();
      if (done) throw new Error("the bus ended; what it said is above");
      const told = JSON.parse(value);
      if ("call" in told) this.tell(await this.called(told));
      else if (told.error) throw new Error(told.error);
      else return told.answer;
    }
  }

  /** @param {{ call: number, event: unknown }} told */
  async called({ call, event }) {
    try {
      const result = await this.handlers[call](event, { awsRequestId: "test", getRemainingTimeInMillis: () => 30_000 });
      return { result: result ?? null };
    } catch (error) {
      const { name, message, stack = "" } = error instanceof Error ? error : new Error(String(error));
      // In one line: it is what most of these tests are about.
      process.stderr.write(`a try failed: ${name}: ${message}${placeIn(stack)}\n`);
      return { error: { name, message } };
    }
  }

  /** @param {object} what */
  tell(what) {
    this.socket.write(`${JSON.stringify(what)}\n`);
  }
}
