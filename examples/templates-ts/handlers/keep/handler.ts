import { handler } from "busway";
import { EveryType } from "../../events/every-type.ts";

/** Throw to have the event tried again, and dead-lettered after the last try. */
export const keep = handler(EveryType, { retries: 2 }, async (event) => {
  console.log(`handling ${event.id}: ${JSON.stringify(event.detail)}`);
});
