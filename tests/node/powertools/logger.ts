// Structured log lines that know the invocation.
import { Logger } from "@aws-lambda-powertools/logger";

const logger = new Logger({ serviceName: "shop", logLevel: "INFO" });

export const handler = async (event: { order: string }, context: any): Promise<string> => {
  logger.addContext(context);
  logger.appendKeys({ order: event.order });
  logger.debug("not shown");
  logger.info("taken", { amount: 5 });
  try {
    throw new RangeError("too many");
  } catch (error) {
    logger.error("refused", error as Error);
  }
  return "done";
};
