// Runs handlers of batches on the cases that come by stdin, as JSON; tells what each answered, was given and said.
import { readFileSync } from "node:fs";
import { batchHandler, defineEvent } from "busway";
import * as z from "zod";

const Order = defineEvent({ source: "shop", detailType: "Order", detail: { total: z.int() } });

class Refused extends Error {
  name = "Refused";
}

async function outcome({ event, refused = [], throws = false, ...rest }) {
  const given = [];
  const told = [];
  console.error = (line) => told.push(line);
  const post = batchHandler(Order, {}, async (events) => {
    given.push(...events.map(({ detail }) => detail.total));
    if (throws) throw new Refused("no");
    return "gives" in rest ? rest.gives : events.filter(({ detail }) => refused.includes(detail.total));
  });
  try {
    const { batchItemFailures } = await post(event);
    return { failed: batchItemFailures.map(({ itemIdentifier }) => itemIdentifier), given, told };
  } catch (error) {
    return { error: error.name, given, told };
  }
}

const outcomes = [];
for (const one of JSON.parse(readFileSync(0, "utf8"))) outcomes.push(await outcome(one));
console.log(JSON.stringify(outcomes));
