// Typed events and handlers. What `busway` knows of a project in TypeScript, it learns from what this file makes.
// @ts-check
import * as z from "zod";
import { Batch, recordsOf } from "./batch.js";
import { once, onceTable } from "./once.js";
import { sampleOf } from "./sample.js";

export { EventTooLarge, publish, PublishFailed } from "./publishing.js";

if (z.core?.version?.major === undefined || z.core.version.major < 4) {
  throw new Error('busway needs zod 4 or newer and found an older one: npm install "zod@^4"');
}

/** By these, `describe.mjs` tells events and handlers from whatever else a file exports. */
const EVENT = Symbol.for("busway.event");
const HANDLER = Symbol.for("busway.handler");

const ENVELOPE = z.object({
  version: z.string().default("0"),
  id: z.string().default(""),
  account: z.string().default(""),
  time: z.string().default(""),
  region: z.string().default(""),
  resources: z.array(z.string()).default([]),
});
// A sample's own: the identifiers that AWS's documentation uses.
const SAMPLE = {
  version: "0",
  id: "00000000-0000-4000-8000-000000000000",
  account: "000000000000",
  time: "2026-01-01T00:00:00Z",
  region: "us-east-1",
};

/** How zod checks a format: who reads the JSON Schema knows the format. */
const PATTERNS = new Set(
  [...Object.values(z.regexes), z.regexes.datetime({ offset: true })].flatMap((one) => (one instanceof RegExp ? [one.source] : [])),
);

/** Takes from a JSON Schema what says nothing, and would look like a difference to one from another language. @param {any} json */
function terse(json) {
  if (json.format && PATTERNS.has(json.pattern)) delete json.pattern;
  if (json.minimum === Number.MIN_SAFE_INTEGER) delete json.minimum;
  if (json.maximum === Number.MAX_SAFE_INTEGER) delete json.maximum;
  if (json.propertyNames?.type === "string" && Object.keys(json.propertyNames).length === 1) delete json.propertyNames;
  if (json.additionalProperties && Object.keys(json.additionalProperties).length === 0) delete json.additionalProperties;
  if (json.items === false && json.prefixItems?.length === json.maxItems) delete json.items;
}

/**
 * Each fault with its place; where one of several would do, what is wrong by each.
 * @param {readonly any[]} issues @param {PropertyKey[]} within @returns {string[]}
 */
function faults(issues, within) {
  return issues.flatMap(({ code, path, message, keys = [], errors = [] }) => {
    const place = [...within, ...path];
    if (code === "unrecognized_keys") {
      return keys.map((/** @type {string} */ key) => `${[...place, key].join(".")}: ${message}`);
    }
    const choices = errors.map((/** @type {any[]} */ one) => faults(one, place).join(", ")).join(", or ");
    return [`${place.join(".")}: ${message}${choices && ` (${choices})`}`];
  });
}

export class EventMismatch extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = "EventMismatch";
  }
}

/** @param {{ source: string, detailType: string, detail: Record<string, z.ZodType>, meta?: object }} definition */
export function defineEvent({ source, detailType, detail, meta = {} }) {
  // What an event has beyond its definition stays in it: whoever puts it may know more than we do.
  const schema = z.looseObject(detail).meta({ ...meta });
  // Who builds an event must not misspell a member; who receives one takes what was added since.
  const unknown = `no such member; wanted ${Object.keys(detail).join(", ") || "none"}`;
  const built = z.strictObject(detail, { error: ({ code }) => (code === "unrecognized_keys" ? unknown : undefined) });

  /** @param {unknown} value */
  function parse(value) {
    const raw = /** @type {Record<string, unknown>} */ (typeof value === "object" && value !== null ? value : {});
    if (raw["source"] !== source || raw["detail-type"] !== detailType) {
      const found = `${JSON.stringify(raw["detail-type"])} from ${JSON.stringify(raw["source"])}`;
      throw new EventMismatch(`got ${found}; wanted ${JSON.stringify(detailType)} from ${JSON.stringify(source)}`);
    }
    const about = fitting(ENVELOPE, raw, "the envelope");
    return { ...raw, ...about, "detail-type": detailType, source, detail: fitting(schema, raw["detail"], "detail") };
  }

  /** @param {z.ZodType} wanted @param {unknown} value @param {string} where */
  function fitting(wanted, value, where) {
    const found = wanted.safeParse(value);
    if (found.success) return /** @type {any} */ (found.data);
    throw new EventMismatch(`${detailType} does not fit: ${faults(found.error.issues, [where]).join("; ")}`);
  }

  /** @param {unknown} value @param {{ resources?: readonly string[], bus?: string }} [options] */
  function entry(value, { resources = [], bus } = {}) {
    const Detail = JSON.stringify(fitting(built, value, "detail"));
    const about = { Source: source, DetailType: detailType, Detail, Resources: [...resources] };
    return bus === undefined ? about : { ...about, EventBusName: bus };
  }

  /** @param {Record<string, unknown>} [changes] @param {{ resources?: readonly string[] }} [options] */
  function sample(changes = {}, { resources = [] } = {}) {
    const misspelt = Object.keys(changes).find((name) => !Object.hasOwn(detail, name));
    if (misspelt !== undefined) throw new EventMismatch(`a sample of ${detailType}: detail.${misspelt}: ${unknown}`);
    const made = /** @type {object} */ (sampleOf(jsonSchema()));
    return parse({ ...SAMPLE, "detail-type": detailType, source, resources, detail: { ...made, ...changes } });
  }

  function jsonSchema() {
    const { $schema, ...rest } = z.toJSONSchema(schema, { io: "input", override: ({ jsonSchema }) => terse(jsonSchema) });
    return rest;
  }

  return Object.freeze({ [EVENT]: true, source, detailType, schema, parse, entry, sample, jsonSchema });
}

/** What a schedule makes. */
export const ScheduledEvent = defineEvent({ source: "aws.events", detailType: "Scheduled Event", detail: {} });

/** What whoever deploys says in the client context: read the event, and do nothing with it. It is also the answer. */
const DRY_RUN = { busway: "dry-run" };

/** Whether a handler is about to be deployed. @param {any} context */
function isDryRun(context) {
  return context?.clientContext?.custom?.busway === DRY_RUN.busway;
}

/**
 * @param {ReturnType<typeof defineEvent>} event
 * @param {object} options
 * @param {(event: any, context: any) => unknown} run
 */
export function handler(event, options, run) {
  /** @param {unknown} value @param {unknown} [context] */
  const entryPoint = async (value, context) => {
    const parsed = event.parse(value);
    if (isDryRun(context)) return DRY_RUN;
    const table = /** @type {any} */ (options).once === false ? undefined : onceTable();
    if (table === undefined || parsed.id === "") return run(parsed, context);
    const remainingMs = /** @type {any} */ (context)?.getRemainingTimeInMillis?.();
    return once(table, parsed.id, remainingMs, () => run(parsed, context));
  };
  return Object.defineProperty(entryPoint, HANDLER, { value: { event, options, batch: false } });
}

/**
 * @param {ReturnType<typeof defineEvent>} event
 * @param {object} options
 * @param {(events: any[], context: any) => unknown} run
 */
export function batchHandler(event, options, run) {
  /** @param {unknown} value @param {unknown} [context] */
  const entryPoint = async (value, context) => {
    // A test gives it events, and gets what the function gives.
    if (Array.isArray(value)) return run(value.map((one) => event.parse(one)), context);
    if (isDryRun(context)) return event.parse(value) && DRY_RUN;
    const batch = new Batch(event, recordsOf(value, `of ${JSON.stringify(event.detailType)}`), EventMismatch);
    await batch.run((events) => run(events, context));
    return batch.report();
  };
  return Object.defineProperty(entryPoint, HANDLER, { value: { event, options, batch: true } });
}
