// Put events on a bus from a program, as `busway/publishing.py` does: ten at a time, and only what failed once more.
//
//     await publish(OrderPlaced.entry({ "order-id": "o-1", total: 5 }), OrderPlaced.entry({ … }))
//
// Apart from what `defineEvent` makes, so that the bundle of a handler that publishes nothing has no SDK in it. It keeps
// no order among events, and nothing that was not sent when the program ends.
// @ts-check
import { createRequire } from "node:module";

// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
const ENTRIES_MAX = 10;
const TOTAL_BYTES_MAX = 1_048_576;
const TIME_BYTES = 14;
// Ours: how often an entry is sent, after what the SDK does by itself for a request, and the longest pause between.
const ATTEMPTS_MAX = 5;
const PAUSE_MS = 100;
const PAUSE_MS_MAX = 2_000;
// What another attempt may mend. https://docs.aws.amazon.com/eventbridge/latest/APIReference/CommonErrors.html
const AGAIN = new Set([
  "InternalFailure",
  "InternalException",
  "ServiceUnavailable",
  "Throttling",
  "ThrottlingException",
  "RequestLimitExceeded",
]);
const OPTIONS = ["bus", "client", "sleep"];

/**
 * One entry with its size in bytes, and what became of it so far.
 * @typedef {{ entry: any, size: number, id: string | null, code: string, reason: string, again: boolean }} Sending
 * @typedef {{ place: number, detailType: string, bus: string, code: string, reason: string }} Refusal
 * @typedef {(entries: any[]) => Promise<any>} PutEvents
 * @typedef {(ms: number) => Promise<unknown>} Sleep
 */

/** An event beyond what a bus takes; nothing was sent. */
export class EventTooLarge extends Error {
  /** @param {string} detailType @param {number} size */
  constructor(detailType, size) {
    const hint = "put what is large elsewhere, and a reference to it into the event";
    super(`an event ${JSON.stringify(detailType)} has ${size} bytes; wanted at most ${TOTAL_BYTES_MAX}: ${hint}`);
    this.name = "EventTooLarge";
  }
}

/** Some events did not get onto the bus. `eventIds` has the ids of the others at their places, null for these. */
export class PublishFailed extends Error {
  /** @param {Refusal[]} refusals @param {(string | null)[]} eventIds */
  constructor(refusals, eventIds) {
    const { detailType, bus, code, reason } = /** @type {Refusal} */ (refusals[0]);
    const more = refusals.length > 1 ? `; and ${refusals.length - 1} more of ${eventIds.length} events` : "";
    super(`${JSON.stringify(detailType)} was not put on bus ${JSON.stringify(bus)}: ${code}: ${reason}${more}`);
    this.name = "PublishFailed";
    this.refusals = refusals;
    this.eventIds = eventIds;
  }
}

/** The ids of the events, in the order given. @param {...any} given events and entries; the options may come last */
export async function publish(...given) {
  const last = given.at(-1);
  const options = given.length > 0 && isOptions(last) ? given.pop() : {};
  const unknown = Object.keys(options).find((name) => !OPTIONS.includes(name));
  if (unknown !== undefined) {
    throw new TypeError(`publish has no option ${JSON.stringify(unknown)}; its options are ${OPTIONS.join(", ")}`);
  }
  const { bus = "default", client, sleep = pause } = options;
  const sendings = given.map((one) => sendingOf(entryOf(one, bus)));
  const large = sendings.find(({ size }) => size > TOTAL_BYTES_MAX);
  if (large) throw new EventTooLarge(String(large.entry.DetailType), large.size);
  if (sendings.length > 0) await sendAll(await putEventsOf(client), batchesOf(sendings), sleep);
  const eventIds = sendings.map(({ id }) => id);
  const refusals = sendings.flatMap(({ entry, id, code, reason }, place) =>
    id === null ? [{ place, detailType: String(entry.DetailType), bus: String(entry.EventBusName), code, reason }] : [],
  );
  if (refusals.length > 0) throw new PublishFailed(refusals, eventIds);
  return eventIds;
}

/** @param {any} value */
function isOptions(value) {
  return isObject(value) && !isEntry(value) && !isEvent(value);
}

/** @param {unknown} value */
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
/** @param {any} value */
const isEntry = (value) => ["Source", "DetailType", "Detail"].some((name) => name in value);
/** @param {any} value */
const isEvent = (value) => "detail-type" in value && "detail" in value;

/** @param {any} given @param {string} bus */
function entryOf(given, bus) {
  if (isObject(given) && isEntry(given)) return { EventBusName: bus, ...given };
  if (!isObject(given) || !isEvent(given)) {
    const found = given === null ? "null" : Array.isArray(given) ? "array" : typeof given;
    const wanted = "wanted entries (OrderPlaced.entry({ … })) or events, each an argument: publish(...entries)";
    throw new TypeError(`publish was given ${found}; ${wanted}`);
  }
  const { source, "detail-type": detailType, resources = [], detail } = given;
  const about = { Source: source, DetailType: detailType, Detail: JSON.stringify(detail), Resources: [...resources] };
  return { EventBusName: bus, ...about };
}

/** @param {any} entry @returns {Sending} */
function sendingOf(entry) {
  return { entry, size: sizeOf(entry), id: null, code: "", reason: "", again: true };
}

/**
 * The bytes that an entry counts with: names of buses and trace headers do not.
 * https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html
 * @param {any} entry
 */
function sizeOf({ Source, DetailType, Detail, Resources, Time }) {
  const texts = [Source, DetailType, Detail, ...(Resources ?? [])];
  return texts.reduce((size, text) => size + Buffer.byteLength(text ?? ""), Time === undefined ? 0 : TIME_BYTES);
}

/** In order, each as many as one call takes. @param {Sending[]} sendings */
function batchesOf(sendings) {
  /** @type {Sending[][]} */
  const batches = [];
  let size = 0;
  for (const sending of sendings) {
    const batch = batches.at(-1);
    if (!batch || batch.length === ENTRIES_MAX || size + sending.size > TOTAL_BYTES_MAX) {
      batches.push([sending]);
      size = sending.size;
    } else {
      batch.push(sending);
      size += sending.size;
    }
  }
  return batches;
}

/**
 * Batch after batch; once nobody answers any more the others are not tried.
 * @param {PutEvents} put @param {Sending[][]} batches @param {Sleep} sleep
 */
async function sendAll(put, batches, sleep) {
  /** @type {Sending | null} */
  let unheard = null;
  for (const batch of batches) {
    if (unheard) fail(batch, unheard.code, `not sent: ${unheard.reason}`, false);
    else unheard = await send(put, batch, sleep);
  }
}

/**
 * Until every entry has an id, was refused for good, or ran out of attempts. Gives one of those whose last attempt
 * nobody answered, if that is how it ended.
 * @param {PutEvents} put @param {Sending[]} batch @param {Sleep} sleep
 */
async function send(put, batch, sleep) {
  let pending = batch;
  let heard = true;
  for (let attempt = 0; attempt < ATTEMPTS_MAX && pending.length > 0; attempt++) {
    // Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    if (attempt > 0) await sleep(Math.random() * Math.min(PAUSE_MS_MAX, PAUSE_MS * 2 ** attempt));
    heard = await tried(put, pending);
    pending = pending.filter(({ id, again }) => id === null && again);
  }
  return heard ? null : (pending[0] ?? null);
}

/** Whether somebody answered. @param {PutEvents} put @param {Sending[]} batch */
async function tried(put, batch) {
  let answer;
  try {
    answer = await put(batch.map(({ entry }) => entry));
  } catch (error) {
    return refused(batch, error);
  }
  if (answer.Entries?.length !== batch.length) {
    throw new Error(`PutEvents answered for ${answer.Entries?.length ?? 0} of ${batch.length} entries`);
  }
  for (const [place, sending] of batch.entries()) {
    const { EventId, ErrorCode, ErrorMessage } = answer.Entries[place];
    if (EventId !== undefined) sending.id = String(EventId);
    else fail([sending], String(ErrorCode), String(ErrorMessage), AGAIN.has(ErrorCode));
  }
  return true;
}

/**
 * What a request failed with, noted for its entries. Throws what is neither an answer nor the network's.
 * @param {Sending[]} batch @param {any} error
 */
function refused(batch, error) {
  const status = error?.$metadata?.httpStatusCode ?? error?.$response?.statusCode;
  if (status !== undefined && status >= 400) {
    fail(batch, error.name, error.message, AGAIN.has(error.name) || status >= 500);
    return true;
  }
  if (error?.name !== "TimeoutError" && !/^(?!ERR_)|^ERR_(TLS|SSL)_/.test(error?.code ?? "ERR_")) throw error;
  // Where a name has several addresses, the error of all of them has no words of its own.
  const inner = (error.errors ?? []).map((/** @type {Error} */ one) => one.message).join("; ");
  fail(batch, error.code ?? error.name, error.message || inner, true);
  return false;
}

/** @param {Sending[]} sendings @param {string} code @param {string} reason @param {boolean} again */
function fail(sendings, code, reason, again) {
  for (const sending of sendings) Object.assign(sending, { code, reason, again });
}

/**
 * Of an EventBridge or an EventBridgeClient; without one it is made from the environment.
 * @param {any} client @returns {Promise<PutEvents>}
 */
async function putEventsOf(client) {
  if (typeof client?.putEvents === "function") return (Entries) => client.putEvents({ Entries });
  const sdk = await loaded();
  const sender = client ?? new sdk.EventBridgeClient({});
  return (Entries) => sender.send(new sdk.PutEventsCommand({ Entries }));
}

/** @type {Promise<any> | undefined} */
let sdk;

/** AWS's SDK: of the bundle or the project, else where Lambda has it, which only `require` finds. */
function loaded() {
  // @ts-ignore: a project need not have it.
  sdk ??= import("@aws-sdk/client-eventbridge").catch(() => {
    try {
      return createRequire(import.meta.url)("@aws-sdk/client-eventbridge");
    } catch (error) {
      sdk = undefined;
      if (/** @type {any} */ (error).code !== "MODULE_NOT_FOUND") throw error;
      throw new Error("publish sends by AWS's SDK, which is not installed: npm install @aws-sdk/client-eventbridge");
    }
  });
  return sdk;
}

/** @type {Sleep} */
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
