// A batch as Lambda hands it over: its records, their events, and what becomes of each. The same rules as Python's:
//
//     queue         every message by itself; of a FIFO queue, what comes behind a failure in its group waits for it
//     stream        the shard goes on from the first failure, so nothing behind a failure is run before it is settled
// @ts-check

/**
 * One record of a batch: its name in the answer, its event as JSON, and the group whose order is kept, if any.
 * @typedef {{ id: string, where: string, body: () => string, group: string | null }} Record_
 * @typedef {{ parse(value: unknown): any, detailType: string }} Definition
 */

/** The group of a stream's records: all of a batch are in one. */
const STREAM = "";

export class Batch {
  /** By place; null for a record that is to come again without an error of its own. @type {Map<number, unknown>} */
  #failed = new Map();
  /** @type {Set<string | null>} */
  #stopped = new Set();
  #succeeded = false;
  /** The first failure, until something succeeds: then it is told, else it is thrown. @type {[Record_, unknown] | null} */
  #held = null;

  /** @param {Definition} event @param {Record_[]} records @param {new (message: string) => Error} Mismatch */
  constructor(event, records, Mismatch) {
    this.event = event;
    this.records = records;
    this.Mismatch = Mismatch;
  }

  /** Hand all events to `handle`, which gives back those to try again. @param {(events: any[]) => unknown} handle */
  async run(handle) {
    /** @type {Map<number, any>} */
    const events = new Map();
    for (const [place, record] of this.records.entries()) {
      if (this.#waits(place, record)) continue;
      try {
        events.set(place, this.#eventOf(record));
      } catch (error) {
        if (!(error instanceof this.Mismatch)) throw error;
        this.#fail(place, record, error);
      }
    }
    if (events.size === 0) return;
    const given = [...events.values()];
    const again = idsOf(await handle(given), given);
    this.#stopped.clear();
    for (const [place, event] of events) {
      const record = /** @type {Record_} */ (this.records[place]);
      if (again.has(event.id)) this.#fail(place, record, null);
      else if (!this.#waits(place, record)) this.#succeed();
    }
  }

  /** Lambda's answer. Throws the first error when nothing succeeded. */
  report() {
    if (this.#held) throw this.#held[1];
    const failed = this.records.filter((_, place) => this.#failed.has(place));
    const ofQueue = failed.filter((record) => record.group !== STREAM);
    // Of a stream the first says it all: everything from there on comes again.
    const named = ofQueue.length > 0 ? ofQueue : failed.slice(0, 1);
    return { batchItemFailures: named.map(({ id }) => ({ itemIdentifier: id })) };
  }

  /** @param {Record_} record */
  #eventOf(record) {
    let raw;
    try {
      raw = JSON.parse(record.body());
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      throw new this.Mismatch(`${record.where} is no event: ${said}; wanted the JSON of one`);
    }
    if (typeof raw !== "object" || raw === null || Array.isArray(raw)) {
      const found = raw === null ? "null" : Array.isArray(raw) ? "array" : typeof raw;
      throw new this.Mismatch(`${record.where} is no event: found ${found}, wanted a JSON object`);
    }
    return this.event.parse(raw);
  }

  /** Whether something before it in its group failed: then it comes again, behind that. @param {number} place @param {Record_} record */
  #waits(place, record) {
    if (!this.#stopped.has(record.group)) return false;
    if (!this.#failed.has(place)) this.#failed.set(place, null);
    return true;
  }

  /** @param {number} place @param {Record_} record @param {unknown} error null for one that the handler gave back */
  #fail(place, record, error) {
    const first = !this.#succeeded && [...this.#failed.values()].every((found) => found === null);
    this.#failed.set(place, error);
    if (record.group !== null) this.#stopped.add(record.group);
    if (error !== null && first) this.#held = [record, error];
    else if (error !== null) tell(record, error);
  }

  #succeed() {
    this.#succeeded = true;
    if (this.#held) tell(...this.#held);
    this.#held = null;
  }
}

/** The records of an event as Lambda gives it. Throws TypeError for another one. @param {any} event @param {string} handler */
export function recordsOf(event, handler) {
  const records = Array.isArray(event?.Records) ? event.Records.map(recordOf) : [];
  if (records.length === 0 || records.includes(null)) {
    const wanted = "wanted Lambda's event of a Kinesis stream or an SQS queue, with its Records";
    throw new TypeError(`batch handler ${handler} was called with ${shown(event)}; ${wanted}`);
  }
  return /** @type {Record_[]} */ (records);
}

/** null for what is no record of a stream or a queue. @param {any} record @returns {Record_ | null} */
function recordOf(record) {
  const { sequenceNumber, data } = record?.kinesis ?? {};
  if (record?.eventSource === "aws:kinesis" && typeof sequenceNumber === "string" && typeof data === "string") {
    return { id: sequenceNumber, where: `record ${sequenceNumber}`, body: () => decoded(data), group: STREAM };
  }
  const { eventSource, messageId, body, eventSourceARN = "", attributes } = record ?? {};
  if (eventSource === "aws:sqs" && typeof messageId === "string" && typeof body === "string") {
    const group = String(eventSourceARN).endsWith(".fifo") ? String(attributes?.MessageGroupId ?? "") : null;
    return { id: messageId, where: `message ${messageId}`, body: () => body, group };
  }
  return null;
}

/** The text that a record of a stream carries. Throws TypeError for what is no UTF-8. @param {string} data */
function decoded(data) {
  return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(data, "base64"));
}

/**
 * The ids of the events that a handler gave back. Throws TypeError for anything else that it gave.
 * @param {any} result @param {{ id: string }[]} events
 */
function idsOf(result, events) {
  if (result === undefined || result === null) return new Set();
  const known = new Set(events.map(({ id }) => id));
  const given = typeof result === "object" && Symbol.iterator in result ? [...result] : [result];
  for (const one of given) {
    if (typeof one !== "object" || one === null || !known.has(one.id)) {
      throw new TypeError(
        `the handler gave back ${shown(one)}; wanted the events of the batch to try again, or nothing`,
      );
    }
  }
  return new Set(given.map(({ id }) => id));
}

/** The failure of one record in the function's log. @param {Record_} record @param {unknown} error */
function tell(record, error) {
  const { name, message } = /** @type {Error} */ (error);
  console.error(`${record.where} failed: ${name}: ${message}`);
}

/** @param {unknown} value */
function shown(value) {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}
