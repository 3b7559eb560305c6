// AWS's SDK for JavaScript, unchanged: FIFO queues and message move tasks of a Busway at AWS_ENDPOINT_URL.
// Prints what it saw as one JSON object.

import {
  CancelMessageMoveTaskCommand,
  CreateQueueCommand,
  DeleteMessageCommand,
  ListMessageMoveTasksCommand,
  ReceiveMessageCommand,
  ResourceNotFoundException,
  SendMessageBatchCommand,
  SendMessageCommand,
  SQSClient,
  StartMessageMoveTaskCommand,
} from "@aws-sdk/client-sqs";

const [prefix] = process.argv.slice(2);
const queues = new SQSClient({ maxAttempts: 1 });
const seen = {};

async function made(QueueName, Attributes) {
  return (await queues.send(new CreateQueueCommand({ QueueName, Attributes }))).QueueUrl;
}

async function receive(QueueUrl, more = {}) {
  const answer = await queues.send(
    new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, MessageSystemAttributeNames: ["All"], ...more }),
  );
  return answer.Messages ?? [];
}

const bodies = (messages) => messages.map((one) => one.Body);

// Order and deduplication. The SDK checks the MD5 of what it sends and receives.
const fifo = await made("node.fifo", { FifoQueue: "true", ContentBasedDeduplication: "true" });
const send = (MessageBody, MessageGroupId) =>
  queues.send(new SendMessageCommand({ QueueUrl: fifo, MessageBody, MessageGroupId }));
const first = await send("a1", "a");
const again = await send("a1", "a");
seen.duplicate = [first.MessageId === again.MessageId, first.SequenceNumber === again.SequenceNumber];
seen.digits = first.SequenceNumber.length;
const Entries = ["a2", "b1", "a3"].map((body, n) => ({ Id: `${n}`, MessageBody: body, MessageGroupId: body[0] }));
const batch = await queues.send(new SendMessageBatchCommand({ QueueUrl: fifo, Entries }));
seen.grow = [first, ...batch.Successful].map((one) => BigInt(one.SequenceNumber)).every((n, i, all) => !i || n > all[i - 1]);
const taken = await receive(fifo, { ReceiveRequestAttemptId: "try" });
seen.order = bodies(taken);
seen.attempt = (await receive(fifo, { ReceiveRequestAttemptId: "try" })).every(
  (one, n) => one.ReceiptHandle === taken[n].ReceiptHandle,
);
seen.held = bodies(await receive(fifo));
for (const one of taken) {
  await queues.send(new DeleteMessageCommand({ QueueUrl: fifo, ReceiptHandle: one.ReceiptHandle }));
}
try {
  await queues.send(new SendMessageCommand({ QueueUrl: fifo, MessageBody: "x" }));
} catch (error) {
  seen.refused = [error.name, error.message, error.$metadata.httpStatusCode];
}

// Dead letters go back.
const dead = await made("node-dead");
const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: `${prefix}node-dead`, maxReceiveCount: 1 });
const work = await made("node-work", { RedrivePolicy });
await queues.send(new SendMessageCommand({ QueueUrl: work, MessageBody: "poison" }));
await receive(work, { VisibilityTimeout: 0 });
await receive(work);
const SourceArn = `${prefix}node-dead`;
const { TaskHandle } = await queues.send(new StartMessageMoveTaskCommand({ SourceArn }));
seen.back = bodies(await receive(work, { WaitTimeSeconds: 20 }));
seen.left = bodies(await receive(dead));
const tasks = await queues.send(new ListMessageMoveTasksCommand({ SourceArn, MaxResults: 10 }));
seen.tasks = tasks.Results.map((one) => [one.SourceArn, one.ApproximateNumberOfMessagesToMove]);
seen.handle = typeof TaskHandle;
try {
  const TaskHandle = Buffer.from(JSON.stringify({ taskId: "x", sourceArn: SourceArn })).toString("base64");
  await queues.send(new CancelMessageMoveTaskCommand({ TaskHandle }));
} catch (error) {
  seen.cancelled = [error instanceof ResourceNotFoundException, error.message, error.$metadata.httpStatusCode];
}

console.log(JSON.stringify(seen));
