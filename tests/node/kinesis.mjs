// AWS's SDK for JavaScript, unchanged, against the streams of a Busway at AWS_ENDPOINT_URL. Its default handler for
// Kinesis speaks HTTP/2. Prints what it saw as one JSON object.

import {
  CreateStreamCommand,
  DescribeStreamCommand,
  ExpiredIteratorException,
  GetRecordsCommand,
  GetShardIteratorCommand,
  KinesisClient,
  ListShardsCommand,
  PutRecordCommand,
  PutRecordsCommand,
  ResourceNotFoundException,
  SplitShardCommand,
  waitUntilStreamExists,
} from "@aws-sdk/client-kinesis";

const streams = new KinesisClient({ maxAttempts: 1 });
const StreamName = "from-node";
const seen = { handler: streams.config.requestHandler.constructor.name };

await streams.send(new CreateStreamCommand({ StreamName, ShardCount: 2 }));
const waited = await waitUntilStreamExists({ client: streams, maxWaitTime: 30 }, { StreamName });
seen.waited = waited.state;

// More than one frame each way.
const Records = Array.from({ length: 500 }, (_, n) => ({
  Data: new Uint8Array([n >> 8, n & 255, ...new Array(200).fill(7)]),
  PartitionKey: `kéy ${n % 7}`,
}));
const put = await streams.send(new PutRecordsCommand({ StreamName, Records }));
seen.put = [put.FailedRecordCount, put.Records.length, put.Records[0].SequenceNumber.length];

// Side by side on one connection.
const Data = new Uint8Array(50_000);
const side = Array.from({ length: 60 }, (_, n) =>
  streams.send(new PutRecordCommand({ StreamName, Data, PartitionKey: `side ${n}` })),
);
seen.side = new Set((await Promise.all(side)).map((one) => one.SequenceNumber)).size;
await streams.send(
  new SplitShardCommand({ StreamName, ShardToSplit: "shardId-000000000000", NewStartingHashKey: "1000" }),
);

const { Shards } = await streams.send(new ListShardsCommand({ StreamName }));
seen.shards = Shards.map((one) => one.ShardId.slice(-1));
const read = [];
seen.ends = [];
for (const { ShardId } of Shards) {
  const start = { StreamName, ShardId, ShardIteratorType: "TRIM_HORIZON" };
  let { ShardIterator } = await streams.send(new GetShardIteratorCommand(start));
  while (ShardIterator) {
    const got = await streams.send(new GetRecordsCommand({ ShardIterator, Limit: 100 }));
    read.push(...got.Records);
    ShardIterator = got.NextShardIterator;
    if (!ShardIterator) seen.ends.push(got.ChildShards.map((one) => one.ShardId.slice(-1)));
    else if (!got.MillisBehindLatest) break;
  }
}
const numbered = read.filter((one) => one.PartitionKey.startsWith("kéy"));
const order = {};
for (const one of numbered) (order[one.PartitionKey] ??= []).push(one.Data[0] * 256 + one.Data[1]);
seen.read = [numbered.length, read.length];
seen.ordered = Object.values(order).every((numbers) => numbers.every((n, at) => !at || n > numbers[at - 1]));
seen.arrived = read.every((one) => Math.abs(Date.now() - one.ApproximateArrivalTimestamp) < 600_000);

async function refusal(command) {
  try {
    await streams.send(command);
  } catch (error) {
    const kinds = { ResourceNotFoundException, ExpiredIteratorException };
    const kind = Object.keys(kinds).find((name) => error instanceof kinds[name]);
    return [error.name, kind ?? null, error.message, error.$metadata.httpStatusCode];
  }
  return null;
}
seen.missing = await refusal(new DescribeStreamCommand({ StreamName: "no" }));
seen.iterator = await refusal(new GetRecordsCommand({ ShardIterator: "bm8=" }));
streams.destroy();
console.log(JSON.stringify(seen));
