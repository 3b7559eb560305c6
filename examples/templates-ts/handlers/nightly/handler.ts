import { ScheduledEvent, handler } from "busway";

/** Throw to have it tried again, and dead-lettered after the last try. */
export const nightly = handler(ScheduledEvent, {
  schedule: "cron(0 2 * * ? *)",
  retries: 2,
}, async (event) => {
  console.log(`due at ${event.time}`);
});
