// A batch of an SQS queue, item by item: those that fail are reported, the others are done.
import { BatchProcessor, EventType, processPartialResponse } from "@aws-lambda-powertools/batch";

interface Message {
  messageId: string;
  body: string;
}

const processor = new BatchProcessor(EventType.SQS);

const take = async (message: Message): Promise<number> => {
  const { amount } = JSON.parse(message.body) as { amount: number };
  if (amount < 0) throw new RangeError(`amount is ${amount}`);
  return amount;
};

export const handler = async (event: any, context: any) =>
  processPartialResponse(event, take as any, processor, { context });
