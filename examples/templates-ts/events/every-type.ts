import { type DetailOf, defineEvent } from "busway";
import * as z from "zod";

/** The event EveryType, as producers put it and handlers get it. */
export const EveryType = defineEvent({
  source: "com.\"Shop\"",
  detailType: "Every Type",
  detail: {
    "a-str": z.string(),
    "a-int": z.int(),
    "a-float": z.number(),
    "a-bool": z.boolean(),
    "a-decimal": z.string().regex(/^-?\d+(\.\d+)?$/).meta({ examples: ["9.99"] }),
    "a-datetime": z.iso.datetime({ offset: true }),
    "a-date": z.iso.date(),
    "a-uuid": z.uuid(),
    "a-object": z.record(z.string(), z.unknown()),
    "a-list[str]": z.array(z.string()),
    "a-list[int]": z.array(z.int()),
    "a-list[float]": z.array(z.number()),
    "a-list[object]": z.array(z.record(z.string(), z.unknown())),
  },
});
export type EveryType = DetailOf<typeof EveryType>;
