// A session of Live Tail by AWS's SDK for JavaScript, unchanged: its events as they come, and what it refuses. Prints one
// JSON object. Arguments: the ARN of a log group with a stream `s`, and the name of that group.

import {
  CloudWatchLogsClient,
  PutLogEventsCommand,
  ResourceNotFoundException,
  StartLiveTailCommand,
} from "@aws-sdk/client-cloudwatch-logs";

const [arn, group] = process.argv.slice(2);
const client = new CloudWatchLogsClient({ maxAttempts: 1, disableHostPrefix: true });

async function tail(pattern) {
  const { responseStream } = await client.send(
    new StartLiveTailCommand({ logGroupIdentifiers: [arn], logEventFilterPattern: pattern }),
  );
  return responseStream;
}

const seen = { messages: [], sampled: [], groups: [] };
for await (const event of await tail("ERROR")) {
  if (event.sessionStart) {
    seen.start = event.sessionStart;
    const logEvents = ["ERROR é", "fine", "ERROR two"].map((message) => ({ timestamp: Date.now(), message }));
    await client.send(new PutLogEventsCommand({ logGroupName: group, logStreamName: "s", logEvents }));
  } else if (event.sessionUpdate) {
    seen.sampled.push(event.sessionUpdate.sessionMetadata.sampled);
    for (const found of event.sessionUpdate.sessionResults) {
      seen.messages.push(found.message);
      seen.groups.push(found.logGroupIdentifier);
    }
    if (seen.messages.length === 2) break;
  }
}
try {
  await client.send(new StartLiveTailCommand({ logGroupIdentifiers: [`${arn}-gone`] }));
} catch (error) {
  seen.refused = { isOfItsClass: error instanceof ResourceNotFoundException, name: error.name };
}
console.log(JSON.stringify(seen));
client.destroy();
