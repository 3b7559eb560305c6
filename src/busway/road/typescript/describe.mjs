// Tells what a project in TypeScript defines, as JSON on the last line of stdout.
//
//     node describe.mjs BUNDLE [NAME]
//
// With the NAME of an event it tells in `error` why the envelope that it reads, as JSON, does not fit that.
// BUNDLE's default export gives, by file, a function that loads it. A file that can't be used is named in `error`.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const EVENT = Symbol.for("busway.event");
const HANDLER = Symbol.for("busway.handler");

class Broken extends Error {}

/** The last line of the project's own code on the way to an error. */
function whereOf(error) {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const line = String(error?.stack ?? "").split("\n").find((one) => /(events|handlers)\/[^)]*:\d+/.test(one));
  const place = line && /((?:events|handlers)\/[^()]*?:\d+)/.exec(line)?.[1];
  return place ? `${text}\n  ${place}` : text;
}

async function exportsOf(file, load) {
  try {
    return Object.entries(await load());
  } catch (error) {
    throw new Broken(`${file} cannot be loaded: ${whereOf(error)}`);
  }
}

/** Where no sample can be made, `no_sample` says why. That is for whoever needs one. */
function eventOf(file, name, event) {
  const about = { name, file, source: event.source, detail_type: event.detailType };
  try {
    Object.assign(about, { json_schema: event.jsonSchema() });
  } catch (error) {
    throw new Broken(`${file}: ${name}: ${whereOf(error)}`);
  }
  try {
    return { ...about, sample: event.sample() };
  } catch (error) {
    return { ...about, sample: {}, no_sample: `${name}: ${whereOf(error)}` };
  }
}

async function described(files) {
  const events = new Map();
  const handlers = [];
  for (const [file, load] of Object.entries(files).filter(([name]) => name.startsWith("events/"))) {
    for (const [name, value] of await exportsOf(file, load)) {
      if (value?.[EVENT] !== true || events.has(value)) continue;
      const other = [...events.values()].find((one) => one.name === name);
      if (other) throw new Broken(`${file}: ${name} is also the name of an event in ${other.file}`);
      events.set(value, eventOf(file, name, value));
    }
  }
  for (const [file, load] of Object.entries(files).filter(([name]) => name.startsWith("handlers/"))) {
    const all = (await exportsOf(file, load)).filter(([, value]) => value?.[HANDLER]);
    // One may be exported by its name and as the default.
    const found = all.filter(([, value], place) => all.findIndex(([, one]) => one === value) === place);
    if (found.length !== 1) {
      const what = found.length ? `${found.length} handlers` : "no handler";
      throw new Broken(`${file} exports ${what}; wanted one that handler(...) or batchHandler(...) made`);
    }
    const [name, { [HANDLER]: { event, options, batch } }] = found[0];
    const scheduled = event.source === "aws.events";
    if (!scheduled && !events.has(event)) {
      throw new Broken(`${file} takes ${JSON.stringify(event.detailType)}; wanted an event that a file in events/ exports`);
    }
    handlers.push({ file, name, event: scheduled ? "ScheduledEvent" : events.get(event).name, options, batch });
  }
  return { events: [...events.values()], handlers };
}

async function misfit(files, name, envelope) {
  for (const [file, load] of Object.entries(files)) {
    const found = (await exportsOf(file, load)).find(([one, value]) => one === name && value?.[EVENT] === true);
    try {
      found?.[1].parse(envelope);
    } catch (error) {
      throw new Broken(error.message);
    }
  }
  return {};
}

let answer;
try {
  const { default: files } = await import(pathToFileURL(process.argv[2]).href);
  const name = process.argv[3];
  answer = name ? await misfit(files, name, JSON.parse(readFileSync(0, "utf8"))) : await described(files);
} catch (error) {
  answer = error instanceof Broken ? { error: error.message, hint: error.cause ?? "" } : { error: whereOf(error) };
}
// What the project left running must not keep this from ending.
process.stdout.write(`\n${JSON.stringify(answer)}`, () => process.exit(0));
