// Has the official JavaScript client call the function through the local QStash of a demo that runs.

import assert from "node:assert/strict";

import { Client } from "@upstash/qstash";

import { check, until } from "./checks.mjs";

const { APP_URL, QSTASH_URL, QSTASH_TOKEN } = process.env;
const SYNC = `${APP_URL}/api/background/sync/slave-to-prod`;
const client = new Client({ baseUrl: QSTASH_URL, token: QSTASH_TOKEN, retry: false });

async function ended(messageId) {
  const { logs } = await client.logs({ filter: { messageId } });
  return logs.find(({ state }) => state === "DELIVERED" || state === "FAILED");
}

async function dead(messageId) {
  const { messages } = await client.dlq.listMessages({ filter: { messageId } });
  return messages[0];
}

await check("the function's schedule is there", async () => {
  const { cron, destination, retries, flowControlKey } = await client.schedules.get("syncline-slave-to-prod");
  assert.deepEqual([cron, destination, retries], ["0 */6 * * *", SYNC, 2]);
  assert.equal(flowControlKey, "syncline-slave-to-prod");
});

await check("the function accepts what QStash signs for it", async () => {
  const { messageId } = await client.publishJSON({ url: SYNC, body: { type: "scheduled" }, retries: 0 });
  const { state } = await until("the delivery", () => ended(messageId));
  assert.equal(state, "DELIVERED");
});

await check("the function refuses what was signed for another address", async () => {
  const url = SYNC.replace("127.0.0.1", "localhost");
  const { messageId } = await client.publishJSON({ url, body: {}, retries: 0 });
  assert.equal((await until("its end", () => dead(messageId))).responseStatus, 401);
});

await check("what no retry mends is not retried", async () => {
  const url = `${APP_URL}/api/background/sync/failure`;
  const { messageId } = await client.publishJSON({ url, body: { no: "callback" }, retries: 3 });
  assert.equal((await until("its end", () => dead(messageId))).responseStatus, 489);
});
