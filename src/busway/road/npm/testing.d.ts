import type { Duration, Entry, Handler } from "./index.js";

/** One call of a handler. `number` is 1 for the first; `at` is Unix seconds of the bus's clock. */
export interface Attempt {
  event: Record<string, unknown>;
  number: number;
  at: number;
  error: string | null;
}

/** A dead letter as its queue has it: the event, what the attributes say, and why it was given up. */
export interface Letter {
  event: Record<string, unknown>;
  attributes: Record<string, string>;
  errorCode: string;
  errorMessage: string;
}

type AnyHandler = Handler<any>;

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
  /** Every call of a handler so far, oldest first. */
  attempts(handler: AnyHandler): Promise<Attempt[]>;
  /** The events that a handler took without an error. */
  handled(handler: AnyHandler): Promise<Record<string, unknown>[]>;
  /** What a rule handed to its targets, oldest first: each event once for each of them. */
  sent(rule: Rule): Promise<unknown[]>;
  /** What was given up for a handler, oldest first. */
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
