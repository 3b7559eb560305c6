// Publishes the cases that come by stdin, as JSON, to a bus that answers as they say; tells what it was sent and what came back.
import { readFileSync } from "node:fs";
import { publish } from "busway";

/** What AWS's SDK throws: for an answer by its status, for none with the code of Node.js. */
function failure({ status, code }) {
  if (status === 0) return Object.assign(new Error("connect"), { code: "ECONNREFUSED" });
  return Object.assign(new Error("no"), { name: code, $metadata: { httpStatusCode: status } });
}

async function outcome({ entries, answers = {}, request }) {
  const calls = [];
  const pauses = [];
  const client = {
    async putEvents({ Entries }) {
      const places = Entries.map(({ Detail }) => Number.parseInt(Detail, 10));
      const before = calls.flat();
      calls.push(places);
      if (request) throw failure(request);
      const codes = places.map((place) => answers[place]?.[before.filter((one) => one === place).length]);
      return {
        Entries: codes.map((ErrorCode, n) => (ErrorCode ? { ErrorCode, ErrorMessage: "no" } : { EventId: `id ${places[n]}` })),
      };
    },
  };
  const given = entries.map(({ Time, ...entry }) => (Time ? { ...entry, Time: new Date(Time) } : entry));
  const options = { client, sleep: async (ms) => pauses.push(ms / 1000) };
  try {
    return { calls, pauses, ids: await publish(...given, options), codes: given.map(() => null), unsent: [] };
  } catch (error) {
    const { name, eventIds = [], refusals = [] } = error;
    const codes = given.map((_, place) => refusals.find((one) => one.place === place)?.code ?? null);
    const unsent = refusals.filter(({ reason }) => reason.startsWith("not sent: ")).map(({ place }) => place);
    return { calls, pauses, error: name, ids: eventIds, codes, unsent };
  }
}

const outcomes = [];
for (const one of JSON.parse(readFileSync(0, "utf8"))) outcomes.push(await outcome(one));
console.log(JSON.stringify(outcomes));
