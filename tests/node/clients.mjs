// AWS's SDK for JavaScript, unchanged, against a Busway at AWS_ENDPOINT_URL. Prints what it saw as one JSON object.
// The region, the keys and the endpoint come from the environment, as in a user's shell.

import { readFileSync } from "node:fs";
import {
  CreateEventBusCommand,
  DescribeRuleCommand,
  EventBridgeClient,
  PutEventsCommand,
  PutRuleCommand,
  PutTargetsCommand,
  ResourceNotFoundException as BusNotFound,
} from "@aws-sdk/client-eventbridge";
import {
  CreateFunctionCommand,
  GetFunctionCommand,
  InvokeCommand,
  LambdaClient,
  paginateListFunctions,
  ResourceNotFoundException as FunctionNotFound,
  waitUntilFunctionActiveV2,
} from "@aws-sdk/client-lambda";
import {
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  GetQueueAttributesCommand,
  QueueDoesNotExist,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";

const [role, packagePath] = process.argv.slice(2);
const seen = {};
const events = new EventBridgeClient({ maxAttempts: 1 });
const queues = new SQSClient({ maxAttempts: 1 });
const functions = new LambdaClient({ maxAttempts: 1 });

// What an error is to a program: its class, its name, its status.
async function refusal(client, command, kind) {
  try {
    await client.send(command);
  } catch (error) {
    return {
      isOfItsClass: kind ? error instanceof kind : null,
      name: error.name,
      message: error.message,
      status: error.$metadata.httpStatusCode,
      requestId: typeof error.$metadata.requestId,
      type: error.Type,
      fault: error.$fault,
    };
  }
  return null;
}

// Queues. The SDK computes the MD5 of what it sends and receives, and throws when ours differs.
const { QueueUrl } = await queues.send(new CreateQueueCommand({ QueueName: "from-node" }));
const { Attributes } = await queues.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["QueueArn"] }));
const MessageAttributes = {
  text: { DataType: "String", StringValue: "é" },
  bytes: { DataType: "Binary", BinaryValue: new Uint8Array([0, 255]) },
};
await queues.send(new SendMessageCommand({ QueueUrl, MessageBody: "höllo", MessageAttributes }));
const Entries = [1, 2].map((n) => ({ Id: `m${n}`, MessageBody: `batch ${n}` }));
seen.batch = (await queues.send(new SendMessageBatchCommand({ QueueUrl, Entries }))).Successful.map((one) => one.Id);

async function receive(count) {
  const found = [];
  while (found.length < count) {
    const { Messages } = await queues.send(
      new ReceiveMessageCommand({
        QueueUrl,
        MaxNumberOfMessages: 10,
        WaitTimeSeconds: 20,
        MessageAttributeNames: ["All"],
        MessageSystemAttributeNames: ["All"],
      }),
    );
    if (!Messages) throw new Error(`${found.length} of ${count} messages arrived`);
    await queues.send(
      new DeleteMessageBatchCommand({
        QueueUrl,
        Entries: Messages.map((one, n) => ({ Id: `${n}`, ReceiptHandle: one.ReceiptHandle })),
      }),
    );
    found.push(...Messages);
  }
  return found;
}

const messages = await receive(3);
seen.bodies = messages.map((one) => one.Body).sort();
const attributes = messages.find((one) => one.Body === "höllo").MessageAttributes;
seen.attributes = { text: attributes.text.StringValue, bytes: [...attributes.bytes.BinaryValue] };

// Events.
await events.send(new CreateEventBusCommand({ Name: "node" }));
const onNode = { EventBusName: "node" };
await events.send(new PutRuleCommand({ ...onNode, Name: "all", EventPattern: '{"source":["node"]}' }));
await events.send(
  new PutTargetsCommand({ ...onNode, Rule: "all", Targets: [{ Id: "q", Arn: Attributes.QueueArn }] }),
);
const put = await events.send(
  new PutEventsCommand({
    Entries: [
      {
        ...onNode,
        Source: "node",
        DetailType: "Tést",
        Detail: '{"n":1.0}',
        Time: new Date("2026-11-23T16:30:05.999Z"),
        Resources: ["arn:x"],
      },
      { ...onNode, Source: "node", DetailType: "t", Detail: "no" },
    ],
  }),
);
seen.put = { failed: put.FailedEntryCount, second: put.Entries[1], id: put.Entries[0].EventId };
seen.delivered = (await receive(1))[0].Body;

// Functions.
const FunctionName = "from-node";
const made = await functions.send(
  new CreateFunctionCommand({
    FunctionName,
    Role: role,
    Runtime: "python3.13",
    Handler: "app.handler",
    Code: { ZipFile: readFileSync(packagePath) },
  }),
);
const waited = await waitUntilFunctionActiveV2({ client: functions, maxWaitTime: 30 }, { FunctionName });
const Payload = JSON.stringify({ n: 1 });
const answer = await functions.send(new InvokeCommand({ FunctionName, Payload, LogType: "Tail" }));
const broken = await functions.send(new InvokeCommand({ FunctionName, Payload: "{}" }));
const later = await functions.send(new InvokeCommand({ FunctionName, Payload, InvocationType: "Event" }));
seen.invoked = {
  arn: made.FunctionArn,
  waited: waited.state,
  status: answer.StatusCode,
  payload: JSON.parse(answer.Payload.transformToString()),
  log: Buffer.from(answer.LogResult, "base64").toString().includes("printed"),
  error: [broken.FunctionError, JSON.parse(broken.Payload.transformToString()).errorType],
  later: later.StatusCode,
};
seen.functions = [];
for await (const page of paginateListFunctions({ client: functions, pageSize: 1 }, {})) {
  seen.functions.push(...page.Functions.map((one) => one.FunctionName));
}

// Errors.
const missing = QueueUrl.replace("from-node", "no");
seen.errors = {
  rule: await refusal(events, new DescribeRuleCommand({ Name: "no" }), BusNotFound),
  entries: await refusal(events, new PutEventsCommand({ Entries: [] })),
  queue: await refusal(queues, new SendMessageCommand({ QueueUrl: missing, MessageBody: "b" }), QueueDoesNotExist),
  function: await refusal(functions, new GetFunctionCommand({ FunctionName: "no" }), FunctionNotFound),
};

console.log(JSON.stringify(seen));
