// Events handled once, on AWS: claims and completions in a DynamoDB table, as `busway/idempotent.py` keeps them.
// @ts-check
import { createHash, randomUUID } from "node:crypto";
import { createRequire } from "node:module";

// Ours. Longer than any event is tried: six hours on AWS, then a day for a person to find it in a dead-letter queue.
const KEEP_S = 86_400;
// How long a claim holds where nobody says when the invocation ends: the longest that Lambda lets one run.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const RUN_MS_MAX = 900_000;
const RESULT_BYTES_MAX = 65_536;

/** Another invocation handles this event at the moment; the one that finds it is tried again later. */
export class StillRunning extends Error {
  /** @param {string} id */
  constructor(id) {
    super(`event ${id}: another invocation handles it; wanted it to have ended`);
    this.name = "StillRunning";
  }
}

/** The table where the handler itself keeps its events from being handled twice; elsewhere the server does. */
export function onceTable() {
  return process.env["BUSWAY_WORKER"] ? undefined : process.env["BUSWAY_ONCE_TABLE"];
}

/** @type {any} */
let client;
/** @type {any} */
let sdk;

/** @param {string} operation @param {object} input */
async function ask(operation, input) {
  // Lambda has AWS's SDK where `require` finds it, and no bundle carries it.
  sdk ??= createRequire(import.meta.url)("@aws-sdk/client-dynamodb");
  client ??= new sdk.DynamoDBClient({});
  return client.send(new sdk[operation](input));
}

/**
 * What `run` gives, or gave when it completed before. When it throws, the event is not handled.
 * @param {string} table @param {string} id @param {number | undefined} remainingMs @param {() => unknown} run
 */
export async function once(table, id, remainingMs, run) {
  const hash = createHash("sha256").update(`event#${id}`).digest("hex");
  const key = { S: `${process.env["AWS_LAMBDA_FUNCTION_NAME"] ?? ""}/${hash}` };
  const by = { S: randomUUID() };
  const now = Date.now() / 1000;
  try {
    const until = { N: String(Math.ceil(now + (remainingMs ?? RUN_MS_MAX) / 1000)) };
    await ask("PutItemCommand", {
      TableName: table,
      Item: { id: key, state: { S: "claimed" }, claimant: by, until },
      ConditionExpression: "attribute_not_exists(id) OR #until <= :now",
      ExpressionAttributeNames: { "#until": "until" },
      ExpressionAttributeValues: { ":now": { N: String(Math.floor(now)) } },
      ReturnValuesOnConditionCheckFailure: "ALL_OLD",
    });
  } catch (error) {
    const refused = /** @type {any} */ (error);
    if (refused.name !== "ConditionalCheckFailedException") throw error;
    if (refused.Item?.state?.S === "done") return JSON.parse(refused.Item.result.S);
    // An answer that was lost: the claim is ours.
    if (refused.Item?.claimant?.S !== by.S) throw new StillRunning(id);
  }
  let result;
  try {
    result = await run();
  } catch (error) {
    await released(table, key, by);
    throw error;
  }
  await completed(table, key, result, Math.floor(now));
  return result;
}

/** @param {string} table @param {{ S: string }} key @param {unknown} result @param {number} now */
async function completed(table, key, result, now) {
  const text = JSON.stringify(result) ?? "null";
  const kept = Buffer.byteLength(text) <= RESULT_BYTES_MAX ? text : "null";
  const row = { id: key, state: { S: "done" }, result: { S: kept }, until: { N: String(now + KEEP_S) } };
  // Who completed first, after the claim of one of the two had ended, stays.
  await unlessRefused("PutItemCommand", {
    TableName: table,
    Item: row,
    ConditionExpression: "attribute_not_exists(id) OR #state <> :done",
    ExpressionAttributeNames: { "#state": "state" },
    ExpressionAttributeValues: { ":done": { S: "done" } },
  });
}

/** @param {string} table @param {{ S: string }} key @param {{ S: string }} by */
async function released(table, key, by) {
  // A claim that ended may be another's now.
  await unlessRefused("DeleteItemCommand", {
    TableName: table,
    Key: { id: key },
    ConditionExpression: "claimant = :by",
    ExpressionAttributeValues: { ":by": by },
  });
}

/** @param {string} operation @param {object} input */
async function unlessRefused(operation, input) {
  try {
    await ask(operation, input);
  } catch (error) {
    if (/** @type {any} */ (error).name !== "ConditionalCheckFailedException") throw error;
  }
}
