import { type DetailOf, defineEvent } from "busway";
import * as z from "zod";

/** The event CustomerNotification, as producers put it and handlers get it. */
export const CustomerNotification = defineEvent({
  source: "com.benlimmer.Monolith",
  detailType: "Customer Notification",
  detail: {
    notification: z.string().meta({ examples: ["unrecognized-login"] }),
    "ip-address": z.string().meta({ examples: ["1.2.3.4"] }),
    location: z.string().meta({ examples: ["Denver, Colorado, USA"] }),
  },
});
export type CustomerNotification = DetailOf<typeof CustomerNotification>;
