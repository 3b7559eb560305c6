// A session of Live Tail by AWS's SDK for JavaScript, unchanged: its events as they come, and what it refuses. Prints one
// JSON object. Arguments: the ARN of a log group with a stream `s`, the name of that group, and 1 or 2 for HTTP's version.

import {
  CloudWatchLogsClient,
  PutLogEventsCommand,
  ResourceNotFoundException,
  StartLiveTailCommand,
} from "@aws-sdk/client-cloudwatch-logs";
import { NodeHttp2Handler, NodeHttpHandler } from "@smithy/node-http-handler";

const [arn, group, version] = process.argv.slice(2);
const requestHandler = version === "2" ? new NodeHttp2Handler() : new NodeHttpHandler();
const client = new CloudWatchLogsClient({ maxAttempts: 1, disableHostPrefix: true, requestHandler });

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
// Over HTTP/2 the SDK does not close a stream that a loop has left, and would keep the process.
process.exit();
