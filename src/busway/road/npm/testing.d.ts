import type { BatchHandler, Duration, Entry, Handler } from "./index.js";

/**
 * One call of a handler, with one event or with a batch of them. `number` is 1 for the first call with that event (a
 * batch's first); `at` is Unix seconds of the bus's clock. `failed` are the events that the call did not finish: all
 * where it threw, else those that it gave back (of a stream also all behind the first of them).
 */
export interface Attempt {
  event: Record<string, unknown>;
  events: Record<string, unknown>[];
  number: number;
  at: number;
  error: string | null;
  failed: Record<string, unknown>[];
}

/** A dead letter: the event, the attributes that its queue has of it, and why it was given up. */
export interface Letter {
  event: Record<string, unknown>;
  attributes: Record<string, string>;
  errorCode: string;
  errorMessage: string;
}

type AnyHandler = Handler<any> | BatchHandler<any>;

/** A rule, as a file in `rules/` has it. */
export interface Rule {
  EventPattern: object;
  Targets: readonly object[];
}

/** A bus in memory: Busway's own router, matcher, retries and queues, whose handlers run in this test. */
export interface LocalBus {
  /** Put an event, or an entry as PutEvents takes it; its id. Returns when nothing is left to do at that time. */
  put(event: Entry | object): Promise<string>;
  /** Let a handler's schedule be due now. By itself none ever is. */
  fire(handler: AnyHandler): Promise<void>;
  /** Every call of a handler so far, oldest first: with an event, or with a batch of them. */
  attempts(handler: AnyHandler): Promise<Attempt[]>;
  /** The events that a handler took without an error, or did not give back. */
  handled(handler: AnyHandler): Promise<Record<string, unknown>[]>;
  /** What a rule handed to its targets, oldest first: each event once for each of them. */
  sent(rule: Rule): Promise<unknown[]>;
  /** The events that were given up for a handler, oldest first. */
  deadLetters(handler: AnyHandler): Promise<Letter[]>;
  clock: {
    /** Unix seconds. */
    now(): Promise<number>;
    /** Move on by "30s", "3m", "6h" or a number of seconds; what is due on the way happens at its time. */
    advance(time: Duration): Promise<void>;
  };
}

/** A bus for one test, with these handlers and rules. It ends with the test. `busway test` brings what it needs. */
export function localBus(t: { after(end: () => void): void }, ...handlers: (AnyHandler | Rule)[]): Promise<LocalBus>;

/** What Lambda hands to a handler of batches: these events as the records "1", "2", … of a stream or a queue. */
export function batchOf(events: readonly unknown[], source?: "stream" | "queue"): { Records: object[] };
