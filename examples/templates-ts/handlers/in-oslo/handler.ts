import { handler } from "busway";
import { Login } from "../../events/login.ts";

/** Throw to have the event tried again, and dead-lettered after the last try. */
export const inOslo = handler(Login, {
  retries: 0,
  maxAge: "1h",
  timeout: "1m",
  memoryMb: 512,
  rate: "10/s",
  concurrency: 4,
  secrets: ["STRIPE_KEY"],
  alert: "pagerduty",
  filter: { location: [{ prefix: "Oslo" }], "ip-address": [{ cidr: "10.0.0.0/8" }] },
}, async (event) => {
  console.log(`handling ${event.id}: ${JSON.stringify(event.detail)}`);
});
