// AWS's SDK for JavaScript, unchanged: versions, aliases, waiters, code and URLs of a function at AWS_ENDPOINT_URL.
// Prints what it saw as one JSON object.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import {
  CreateAliasCommand,
  CreateFunctionCommand,
  CreateFunctionUrlConfigCommand,
  GetAliasCommand,
  GetFunctionCommand,
  InvokeCommand,
  LambdaClient,
  paginateListVersionsByFunction,
  PreconditionFailedException,
  PublishVersionCommand,
  ResourceConflictException,
  ResourceNotFoundException,
  UpdateAliasCommand,
  UpdateFunctionCodeCommand,
  waitUntilFunctionActiveV2,
  waitUntilFunctionUpdatedV2,
  waitUntilPublishedVersionActive,
} from "@aws-sdk/client-lambda";

const [role, first, second] = process.argv.slice(2);
const functions = new LambdaClient({ maxAttempts: 1 });
const patience = { client: functions, maxWaitTime: 30 };
const FunctionName = "deployed";
const seen = {};

async function says(more) {
  const told = await functions.send(new InvokeCommand({ FunctionName, ...more }));
  return [JSON.parse(told.Payload.transformToString()), told.ExecutedVersion];
}

async function refusal(command, kind) {
  try {
    await functions.send(command);
  } catch (error) {
    return [error instanceof kind, error.$metadata.httpStatusCode, error.Message ?? error.message];
  }
  return null;
}

const Code = { ZipFile: readFileSync(first) };
await functions.send(
  new CreateFunctionCommand({ FunctionName, Role: role, Runtime: "python3.13", Handler: "app.handler", Code, Publish: true }),
);
await waitUntilFunctionActiveV2(patience, { FunctionName });
await waitUntilPublishedVersionActive(patience, { FunctionName, Qualifier: "1" });
await functions.send(new CreateAliasCommand({ FunctionName, Name: "live", FunctionVersion: "1" }));
await functions.send(new UpdateFunctionCodeCommand({ FunctionName, ZipFile: readFileSync(second) }));
await waitUntilFunctionUpdatedV2(patience, { FunctionName });
seen.before = [await says({}), await says({ Qualifier: "live" })];
const { Version } = await functions.send(new PublishVersionCommand({ FunctionName }));
const { RevisionId } = await functions.send(new GetAliasCommand({ FunctionName, Name: "live" }));
const move = new UpdateAliasCommand({ FunctionName, Name: "live", FunctionVersion: Version, RevisionId });
await functions.send(move);
seen.after = await says({ Qualifier: "live" });
seen.versions = [];
for await (const page of paginateListVersionsByFunction({ client: functions, pageSize: 1 }, { FunctionName })) {
  seen.versions.push(...page.Versions.map((one) => one.Version));
}

const found = await functions.send(new GetFunctionCommand({ FunctionName }));
const zip = Buffer.from(await (await fetch(found.Code.Location)).arrayBuffer());
seen.code = createHash("sha256").update(zip).digest("base64") === found.Configuration.CodeSha256;

const { FunctionUrl } = await functions.send(new CreateFunctionUrlConfigCommand({ FunctionName, AuthType: "NONE" }));
const answer = await fetch(FunctionUrl);
seen.url = [answer.status, answer.headers.get("content-type"), await answer.json()];

seen.errors = {
  moved: await refusal(move, PreconditionFailedException),
  twice: await refusal(
    new CreateAliasCommand({ FunctionName, Name: "live", FunctionVersion: "1" }),
    ResourceConflictException,
  ),
  gone: await refusal(new InvokeCommand({ FunctionName, Qualifier: "gone" }), ResourceNotFoundException),
};

console.log(JSON.stringify(seen));
