import { type DetailOf, defineEvent } from "busway";
import * as z from "zod";

/** The event OrderPlaced, as producers put it and handlers get it. */
export const OrderPlaced = defineEvent({
  source: "shop",
  detailType: "Order Placed",
  detail: {
    total: z.string().regex(/^-?\d+(\.\d+)?$/).meta({ examples: ["9.99"] }),
  },
});
export type OrderPlaced = DetailOf<typeof OrderPlaced>;
