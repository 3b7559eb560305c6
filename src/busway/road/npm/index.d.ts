import type * as z from "zod";

/** The members of a detail, each with its schema. */
export type Shape = Record<string, z.ZodType>;

/** An event as a rule's target gets it. */
export interface BusEvent<Detail> {
  version: string;
  id: string;
  "detail-type": string;
  source: string;
  account: string;
  time: string;
  region: string;
  resources: string[];
  detail: Detail;
}

/** An entry of PutEvents, as AWS's SDK takes it. */
export interface Entry {
  Source: string;
  DetailType: string;
  Detail: string;
  Resources: string[];
  EventBusName?: string;
}

/** What an event is: who puts it, what it is called, and what its detail holds. */
export interface EventDefinition<Detail, Input = Detail> {
  readonly source: string;
  readonly detailType: string;
  readonly schema: z.ZodType;
  /** The typed event in an envelope. Throws EventMismatch. */
  parse(value: unknown): BusEvent<Detail>;
  /** What to give to `publish`. Throws EventMismatch for a detail that does not fit, or has a member of no definition. */
  entry(detail: Input, options?: { resources?: readonly string[]; bus?: string }): Entry;
  /** An event for tests: from the examples of the fields, with some of them changed. */
  sample(changes?: Partial<Input>, options?: { resources?: readonly string[] }): BusEvent<Detail>;
  /** The JSON Schema of the detail. */
  jsonSchema(): Record<string, unknown>;
}

/** The type of an event's detail: `DetailOf<typeof OrderPlaced>`. */
export type DetailOf<Definition> = Definition extends EventDefinition<infer Detail, infer _Input> ? Detail : never;

/** Define an event. Whatever else one that came in has in its detail stays in it, untyped. */
export function defineEvent<const Fields extends Shape>(definition: {
  source: string;
  detailType: string;
  detail: Fields;
  /** What is said of the detail as a whole: its JSON Schema and the catalogue have it. */
  meta?: { description?: string; examples?: unknown[]; [note: string]: unknown };
}): EventDefinition<z.output<z.ZodObject<Fields>>, z.input<z.ZodObject<Fields>>>;

/** What a schedule makes. */
export const ScheduledEvent: EventDefinition<Record<string, never>>;

/** An event does not fit its definition. */
export class EventMismatch extends Error {}

/** An entry of PutEvents by whoever makes it. Its own EventBusName wins over the option `bus`. */
export interface PutEntry {
  Source: string;
  DetailType: string;
  Detail: string;
  Resources?: string[] | undefined;
  Time?: Date | undefined;
  EventBusName?: string | undefined;
  TraceHeader?: string | undefined;
}

/** What `publish` takes: an entry, or an event as it came in. */
export type Publishable = PutEntry | BusEvent<unknown>;

export interface PublishOptions {
  /** The bus, for those that name none. Default: "default". */
  bus?: string;
  /** An EventBridgeClient or EventBridge of AWS's SDK. Default: one from AWS_ENDPOINT_URL, AWS_REGION and credentials. */
  client?: { send(command: any): Promise<any> } | { putEvents(input: any): Promise<any> };
  /** How it waits before another attempt. */
  sleep?: (ms: number) => Promise<unknown>;
}

/**
 * Put events on the bus: ten in a call at most, and what may still succeed is tried again. Their ids, in the order given.
 * Needs `@aws-sdk/client-eventbridge`.
 *
 * Rejects with EventTooLarge before anything is sent, and with PublishFailed after everything else was sent.
 */
export function publish<const Events extends readonly Publishable[]>(
  ...events: Events
): Promise<{ [Place in keyof Events]: string }>;
export function publish<const Events extends readonly Publishable[]>(
  ...given: [...events: Events, options: PublishOptions]
): Promise<{ [Place in keyof Events]: string }>;

/** An event that did not get onto the bus: its place among those given, and the bus's code and reason. */
export interface Refusal {
  readonly place: number;
  readonly detailType: string;
  readonly bus: string;
  readonly code: string;
  readonly reason: string;
}

/**
 * Some events did not get onto the bus. `eventIds` has the ids of the others at their places, null for these. Where the
 * answer to a request was lost, its events count as failed here and may be on the bus all the same.
 */
export class PublishFailed extends Error {
  readonly refusals: readonly Refusal[];
  readonly eventIds: readonly (string | null)[];
}

/** An event has more bytes than a bus takes; nothing was sent. */
export class EventTooLarge extends Error {}

/** What a function is told of its invocation. https://docs.aws.amazon.com/lambda/latest/dg/nodejs-context.html */
export interface Context {
  readonly functionName: string;
  readonly functionVersion: string;
  readonly invokedFunctionArn: string;
  readonly memoryLimitInMB: string;
  readonly awsRequestId: string;
  readonly logGroupName: string;
  readonly logStreamName: string;
  getRemainingTimeInMillis(): number;
}

/** A length of time: a number and s, m or h, or whole seconds. */
export type Duration = `${number}${"s" | "m" | "h"}` | number;

export interface HandlerOptions {
  /** Tries after a first failed one: 0 to 2 on AWS Lambda, up to 185 on a Busway server. Default: 2. */
  retries?: number;
  /** How old an event may get before it is given up, 1 minute to 6 hours. Default: "6h". */
  maxAge?: Duration;
  /** How long one try may take, at most 15 minutes. Default: "30s". */
  timeout?: Duration;
  /** Memory of one worker in MB, 128 to 10,240. Default: 256. */
  memoryMb?: number;
  /** The alert route that is told when an event is given up. */
  alert?: string;
  /** Environment variables that are passed on from where `busway` deploys. */
  env?: readonly string[];
  /** Environment variables whose values are kept sealed: `busway secret set NAME`. */
  secrets?: readonly string[];
  /** The handler's name, if it isn't that of its folder. */
  name?: string;
  /** Only some events: a pattern over the detail, `{ location: [{ prefix: "Oslo" }] }`. */
  filter?: Record<string, unknown>;
  /** How often it may start, where a third party throttles: "10/s", "600/m". On AWS it does nothing. */
  rate?: `${number}/${"s" | "m" | "h"}`;
  /** An event that it completed is not given to it again within a day. Default: true. */
  once?: boolean;
  /** For a handler of ScheduledEvent: "rate(5 minutes)" or "cron(0 9 ? * MON-FRI *)", in UTC. */
  schedule?: `rate(${string})` | `cron(${string})`;
  /** How many of its events are handled at a time, at most. */
  concurrency?: number;
  /** What it may do on AWS: `{ "s3:GetObject": "arn:aws:s3:::receipts/*" }`. On a Busway server it does nothing. */
  permissions?: Readonly<Record<string, string | readonly string[]>>;
}

/** How a handler gets its events in batches, and the rest of its options. */
export interface BatchHandlerOptions<Detail>
  extends Omit<HandlerOptions, "retries" | "maxAge" | "timeout" | "once" | "schedule" | "concurrency"> {
  /** So many events at most. Default: 100. */
  size?: number;
  /** Or what came within so long, at most 5 minutes. Default: "5s". */
  window?: Duration;
  /** What the events wait in: a stream, or a queue whose messages are tried each by itself. Default: "stream". */
  source?: "stream" | "queue";
  /** The field of the detail whose events keep their order in the stream; or a path in the event, "$.account". */
  orderBy?: Extract<keyof Detail, string> | `$.${string}`;
  /** How many batches run at a time: 1 to 10 of a stream, 2 to 1,000 of a queue. */
  parallelism?: number;
  /** A stream's batch that fails is halved until the bad event is alone. Default: true. */
  bisect?: boolean;
  /** Tries after a first failed one. Default: 5. */
  retries?: number;
  /** How old an event of a stream may get before it is given up, 1 minute to 7 days. Default: "6h". */
  maxAge?: Duration;
  /** How long one try of a batch may take, at most 15 minutes. Default: "1m". */
  timeout?: Duration;
}

/** What Lambda is told of a batch. https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html */
export interface BatchReport {
  batchItemFailures: { itemIdentifier: string }[];
}

/** The events of a batch that are to be tried again; nothing for none. */
export type TryAgain<Detail> = Iterable<BusEvent<Detail>> | null | undefined | void;

/** A handler of batches, which AWS Lambda calls with records of a stream or a queue, and a test with events. */
export interface BatchHandler<Detail> {
  (events: readonly unknown[], context?: Context): Promise<TryAgain<Detail>>;
  (batch: { Records: readonly object[] }, context?: Context): Promise<BatchReport>;
}

/**
 * Make a function the handler of batches of an event. It gives back the events to try again, or throws to have all of
 * them tried again. An event that does not fit fails alone.
 */
export function batchHandler<Detail, Input>(
  event: EventDefinition<Detail, Input>,
  options: BatchHandlerOptions<Detail>,
  run: (events: BusEvent<Detail>[], context: Context) => TryAgain<Detail> | Promise<TryAgain<Detail>>,
): BatchHandler<Detail>;

/** A handler, which AWS Lambda calls with an event as JSON, and a test with a sample. Rejects with EventMismatch. */
export type Handler<Result> = (event: unknown, context?: Context) => Promise<Result>;

/** Make a function the handler of an event. It throws to have the event tried again. */
export function handler<Detail, Input, Result>(
  event: EventDefinition<Detail, Input>,
  options: HandlerOptions,
  run: (event: BusEvent<Detail>, context: Context) => Result | Promise<Result>,
): Handler<Result>;
