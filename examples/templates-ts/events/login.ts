import { type DetailOf, defineEvent } from "busway";
import * as z from "zod";

/** The event Login, as producers put it and handlers get it. */
export const Login = defineEvent({
  source: "shop",
  detailType: "Login",
  detail: {
    location: z.string().meta({ examples: ["Oslo"] }),
    "ip-address": z.string().meta({ examples: ["10.0.0.1"] }).optional(),
  },
});
export type Login = DetailOf<typeof Login>;
