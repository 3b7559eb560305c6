import { batchHandler } from "busway";
import { OrderPlaced } from "../../events/order-placed.ts";

/** Up to 100 events, or those of 5s. Give back those to try again; throw to have all of them tried again. */
export const postOrders = batchHandler(OrderPlaced, {
  size: 100,
  window: "5s",
  retries: 5,
}, async (events) => {
  for (const event of events) console.log(`handling ${event.id}: ${JSON.stringify(event.detail)}`);
  return [];
});
