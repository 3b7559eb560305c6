// Reads a line {text, values}: an event's file and details. Answers {fits, schema, sample}, or {error}.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.argv[2]}/x.js`);
const imported = async (name) => import(pathToFileURL(require.resolve(name)).href);
const zod = await imported("zod");
const busway = await import(pathToFileURL(`${process.argv[2]}/node_modules/busway/index.js`).href);
const esbuild = require("esbuild");

async function judged({ text, values }) {
  const { code } = await esbuild.transform(text, { loader: "ts", format: "cjs" });
  const module = { exports: {} };
  new Function("require", "module", code)((name) => ({ zod, busway })[name], module);
  const [event] = Object.values(module.exports);
  const { source, detailType } = event;
  let sample;
  try {
    sample = event.sample().detail;
  } catch (error) {
    sample = String(error);
  }
  return { fits: values.map((one) => event.schema.safeParse(one).success), schema: event.jsonSchema(), sample, source, detailType };
}

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await judged(JSON.parse(line)).catch((error) => ({ error: String(error.stack) }));
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
