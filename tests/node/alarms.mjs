// An alarm by AWS's SDK for JavaScript, unchanged: made, fed, seen to ring, its history read. Prints one JSON object.

import {
  CloudWatchClient,
  DescribeAlarmHistoryCommand,
  DescribeAlarmsCommand,
  GetMetricDataCommand,
  PutMetricAlarmCommand,
  PutMetricDataCommand,
  ResourceNotFound,
  SetAlarmStateCommand,
  waitUntilAlarmExists,
} from "@aws-sdk/client-cloudwatch";

const client = new CloudWatchClient({ maxAttempts: 1 });
const minute = new Date(Math.floor(Date.now() / 60_000) * 60_000 - 60_000);
const metric = { Namespace: "Node", MetricName: "Failed", Dimensions: [{ Name: "Shop", Value: "oslo" }] };
const stat = { Metric: metric, Period: 60, Stat: "Sum" };

await client.send(
  new PutMetricDataCommand({
    Namespace: metric.Namespace,
    MetricData: [{ MetricName: metric.MetricName, Dimensions: metric.Dimensions, Timestamp: minute, Value: 7.5 }],
  }),
);
const found = await client.send(
  new GetMetricDataCommand({
    StartTime: minute,
    EndTime: new Date(minute.getTime() + 60_000),
    MetricDataQueries: [
      { Id: "twice", Expression: "failed * 2" },
      { Id: "failed", MetricStat: stat, ReturnData: false },
    ],
  }),
);
await client.send(
  new PutMetricAlarmCommand({
    AlarmName: "node",
    ...metric,
    Statistic: "Sum",
    Period: 60,
    EvaluationPeriods: 3,
    DatapointsToAlarm: 1,
    Threshold: 5,
    ComparisonOperator: "GreaterThanThreshold",
  }),
);
await waitUntilAlarmExists({ client, maxWaitTime: 30 }, { AlarmNames: ["node"] });

async function alarm() {
  const { MetricAlarms } = await client.send(new DescribeAlarmsCommand({ AlarmNames: ["node"] }));
  return MetricAlarms[0];
}

let rung = await alarm();
for (let tries = 0; rung.StateValue !== "ALARM" && tries < 300; tries += 1) {
  await new Promise((resolve) => setTimeout(resolve, 100));
  rung = await alarm();
}
const history = await client.send(new DescribeAlarmHistoryCommand({ AlarmName: "node" }));
let refused = {};
try {
  await client.send(new SetAlarmStateCommand({ AlarmName: "none", StateValue: "OK", StateReason: "a drill" }));
} catch (error) {
  refused = { isOfItsClass: error instanceof ResourceNotFound, name: error.name };
}
console.log(
  JSON.stringify({
    values: found.MetricDataResults.map((result) => [result.Id, result.Timestamps.length, result.Values]),
    state: rung.StateValue,
    reason: rung.StateReason,
    history: history.AlarmHistoryItems.map((item) => item.HistorySummary),
    refused,
  }),
);
