// AWS's SDK for JavaScript, unchanged: topics of a Busway at AWS_ENDPOINT_URL. Prints what it saw as one JSON object.

import {
  CreateTopicCommand,
  GetSubscriptionAttributesCommand,
  InvalidParameterException,
  ListTagsForResourceCommand,
  NotFoundException,
  PublishBatchCommand,
  PublishCommand,
  SNSClient,
  SubscribeCommand,
} from "@aws-sdk/client-sns";
import { CreateQueueCommand, ReceiveMessageCommand, SQSClient } from "@aws-sdk/client-sqs";

const [Endpoint] = process.argv.slice(2);
const topics = new SNSClient({ maxAttempts: 1 });
const queues = new SQSClient({ maxAttempts: 1 });
const seen = {};

const Tags = [{ Key: "team", Value: "ü" }];
const { TopicArn } = await topics.send(new CreateTopicCommand({ Name: "from-node", Tags }));
seen.topic = TopicArn;
seen.tags = (await topics.send(new ListTagsForResourceCommand({ ResourceArn: TopicArn }))).Tags;
const { QueueUrl } = await queues.send(new CreateQueueCommand({ QueueName: "from-node" }));
const Attributes = { RawMessageDelivery: "true", FilterPolicy: JSON.stringify({ kind: ["wanted"] }) };
const { SubscriptionArn } = await topics.send(
  new SubscribeCommand({ TopicArn, Protocol: "sqs", Endpoint, Attributes }),
);
const shown = await topics.send(new GetSubscriptionAttributesCommand({ SubscriptionArn }));
seen.subscription = [shown.Attributes.FilterPolicy, shown.Attributes.PendingConfirmation];

const kind = (StringValue) => ({ kind: { DataType: "String", StringValue } });
await topics.send(new PublishCommand({ TopicArn, Message: "no", MessageAttributes: kind("other") }));
const batch = await topics.send(
  new PublishBatchCommand({
    TopicArn,
    PublishBatchRequestEntries: [
      { Id: "a", Message: "höllo & <more>\r\n", MessageAttributes: kind("wanted") },
      { Id: "b", Message: "no", MessageAttributes: kind("other") },
    ],
  }),
);
seen.batch = batch.Successful.map((one) => one.Id);
const { Messages } = await queues.send(
  new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 20, MessageAttributeNames: ["All"] }),
);
seen.received = Messages.map((one) => [one.Body, one.MessageAttributes.kind.StringValue]);

async function refused(command, kindOfError) {
  try {
    await topics.send(command);
  } catch (error) {
    return [error instanceof kindOfError, error.message, error.$metadata.httpStatusCode];
  }
}
seen.missing = await refused(
  new PublishCommand({ TopicArn: `${TopicArn}-not`, Message: "x" }), NotFoundException,
);
seen.invalid = await refused(
  new SubscribeCommand({ TopicArn, Protocol: "sms", Endpoint: "+491" }), InvalidParameterException,
);

console.log(JSON.stringify(seen));
