import { SESv2Client, SendEmailCommand } from "@aws-sdk/client-sesv2";
import { handler } from "busway";
import { CustomerNotification } from "../../events/customer-notification.ts";

const SENDER = "notifications@example.com";
const mail = new SESv2Client({});

/** Throw to have the event tried again, and dead-lettered after the last try. */
export const notifyCustomer = handler(CustomerNotification, {
  retries: 2,
  permissions: { "ses:SendEmail": "arn:aws:ses:*:*:identity/*" },
}, async (event) => {
  const lines = Object.entries(event.detail).map(([name, value]) => `${name}: ${value}`);
  await mail.send(
    new SendEmailCommand({
      FromEmailAddress: SENDER,
      Destination: { ToAddresses: event.resources.slice(0, 1) },
      Content: {
        Simple: {
          Subject: { Data: event["detail-type"] },
          Body: { Text: { Data: lines.join("\n") } },
        },
      },
    }),
  );
});
