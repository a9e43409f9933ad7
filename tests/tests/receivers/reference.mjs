// The same as reference.py with the libraries for JavaScript, which are found from the working directory.

import { createRequire } from "node:module";
import readline from "node:readline";

const require = createRequire(process.cwd() + "/");
const { HTTP, CloudEvent } = require("cloudevents");
const { Webhook, WebhookVerificationError } = require("standardwebhooks");

function cloudEvents(headers, body) {
  const found = HTTP.toEvent({ headers, body });
  const events = Array.isArray(found) ? found : [found];
  return events.map((event) => {
    if (!(event instanceof CloudEvent) || !event.validate()) throw new Error("no CloudEvent");
    const { id, source, type, subject, data } = event;
    return { id, source, type, subject: subject ?? null, time: Date.parse(event.time) / 1000, data };
  });
}

function read({ kind, secret, headers, body }) {
  const text = Buffer.from(body, "base64").toString();
  return kind === "standard-webhooks"
    ? new Webhook(secret).verify(text, headers)
    : cloudEvents(headers, text);
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = { read: read(JSON.parse(line)) };
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    answer = { refused: error.message };
  }
  console.log(JSON.stringify(answer));
}
