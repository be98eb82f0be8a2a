// Drives a local QStash with the official JavaScript client, and checks what it delivers with the
// official receiver.

import assert from "node:assert/strict";
import http from "node:http";
import { Client, Receiver } from "@upstash/qstash";

import { check, until } from "./checks.mjs";

const { QSTASH_URL, QSTASH_TOKEN, QSTASH_CURRENT_SIGNING_KEY, QSTASH_NEXT_SIGNING_KEY } =
  process.env;
const client = new Client({ baseUrl: QSTASH_URL, token: QSTASH_TOKEN });
const receiver = new Receiver({
  currentSigningKey: QSTASH_CURRENT_SIGNING_KEY,
  nextSigningKey: QSTASH_NEXT_SIGNING_KEY,
});

// The destination: remembers what it gets, and fails where its path says so.
const arrived = [];
const server = http.createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const { method, url, headers } = request;
  arrived.push({ method, path: url, headers, body: Buffer.concat(chunks).toString() });
  if (url.startsWith("/final")) response.setHeader("Upstash-NonRetryable-Error", "true");
  response.statusCode = url.startsWith("/final") ? 489 : url.startsWith("/fail") ? 500 : 200;
  response.end(`answer to ${url}`);
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const here = `http://127.0.0.1:${server.address().port}`;

// What arrived at a path, once there is as much of it, and all of it signed for its URL.
async function arrivals(path, count = 1) {
  const at = () => arrived.filter((one) => one.path === path);
  await until(`${count} at ${path}`, () => at().length >= count);
  for (const one of at()) {
    const signature = one.headers["upstash-signature"];
    await receiver.verify({ signature, body: one.body, url: here + path });
  }
  assert.equal(at().length, count);
  return at();
}

const deadLetter = (messageId) =>
  until("a dead letter", async () => {
    const { messages } = await client.dlq.listMessages({ filter: { messageId } });
    return messages[0];
  });

const fails = (status) => (error) => {
  assert.equal(error.status, status, String(error));
  return true;
};

await check("a message is delivered as it was published", async () => {
  const { messageId } = await client.publish({
    url: `${here}/plain//a%2Fb/?q=1&r=%20`,
    method: "PUT",
    body: "ä raw body",
    headers: { "Content-Type": "text/plain", "X-Own": "mine" },
  });
  const [one] = await arrivals("/plain//a%2Fb/?q=1&r=%20");
  assert.deepEqual([one.method, one.body], ["PUT", "ä raw body"]);
  assert.equal(one.headers["x-own"], "mine");
  assert.equal(one.headers["content-type"], "text/plain");
  assert.equal(one.headers["upstash-message-id"], messageId);
  assert.equal(one.headers["upstash-retried"], "0");
  assert.equal(one.headers.authorization, undefined);
});

await check("JSON is delivered as JSON", async () => {
  await client.publishJSON({ url: `${here}/json`, body: { a: [1, null] } });
  const [one] = await arrivals("/json");
  assert.equal(one.body, '{"a":[1,null]}');
  assert.equal(one.headers["content-type"], "application/json");
});

await check("the receiver refuses another body and another URL", async () => {
  await client.publish({ url: `${here}/forged`, body: "genuine" });
  const [one] = await arrivals("/forged");
  const signature = one.headers["upstash-signature"];
  await assert.rejects(receiver.verify({ signature, body: "another" }));
  await assert.rejects(receiver.verify({ signature, body: "genuine", url: `${here}/other` }));
});

await check("the same id is delivered once", async () => {
  const url = `${here}/once`;
  const first = await client.publish({ url, deduplicationId: "js-1" });
  const second = await client.publish({ url, deduplicationId: "js-1" });
  assert.deepEqual([second.messageId, second.deduplicated], [first.messageId, true]);
  await arrivals("/once");
});

await check("a delayed message is told, and cancelled", async () => {
  const publish = (more) => client.publish({ url: `${here}/late`, delay: 3600, ...more });
  const { messageId } = await publish({ label: "mine", retries: 2, body: "x" });
  const message = await client.messages.get(messageId);
  assert.equal(message.url, `${here}/late`);
  assert.deepEqual([message.maxRetries, message.body, message.label], [2, "x", "mine"]);
  assert.equal(message.notBefore - message.createdAt, 3_600_000);
  await client.messages.cancel(messageId);
  await assert.rejects(client.messages.get(messageId), fails(404));
});

await check("a batch answers in its order", async () => {
  const url = `${here}/batch`;
  const first = { url, body: "one", retries: 0, method: "PATCH" };
  const answers = await client.batch([first, { url, body: "two" }]);
  assert.equal(answers.length, 2);
  const both = await arrivals("/batch", 2);
  assert.deepEqual(both.map((one) => one.body).sort(), ["one", "two"]);
  assert.ok(both.some((one) => one.headers["upstash-message-id"] === answers[0].messageId));
  await client.batchJSON([{ url: `${here}/batch-json`, body: { a: 1 } }]);
  assert.equal((await arrivals("/batch-json"))[0].body, '{"a":1}');
});

await check("a failing message is retried, called back about, and dead", async () => {
  const { messageId } = await client.publish({
    url: `${here}/fail/js`,
    body: "source",
    retries: 1,
    retryDelay: "50 * (1 + retried)",
    callback: `${here}/callback`,
    failureCallback: `${here}/failure`,
  });
  const attempts = await arrivals("/fail/js", 2);
  assert.deepEqual(attempts.map((one) => one.headers["upstash-retried"]), ["0", "1"]);
  assert.equal(new Set(attempts.map((one) => one.headers["upstash-message-id"])).size, 1);
  assert.equal(new Set(attempts.map((one) => one.headers["upstash-signature"])).size, 2);
  const callbacks = (await arrivals("/callback", 2)).map((one) => JSON.parse(one.body));
  assert.deepEqual(callbacks.map((one) => one.retried), [0, 1]);
  const failure = JSON.parse((await arrivals("/failure"))[0].body);
  const letter = await deadLetter(messageId);
  assert.equal(failure.sourceMessageId, messageId);
  assert.deepEqual([failure.status, failure.maxRetries, failure.dlqId], [500, 1, letter.dlqId]);
  assert.equal(atob(failure.body), "answer to /fail/js");
  assert.equal(atob(failure.sourceBody), "source");
  assert.deepEqual([letter.responseStatus, letter.responseBody], [500, "answer to /fail/js"]);
});

await check("489 with its header is final", async () => {
  const { messageId } = await client.publish({ url: `${here}/final/js` });
  assert.equal((await deadLetter(messageId)).responseStatus, 489);
  await arrivals("/final/js");
});

await check("what the local QStash has not is refused by its name", async () => {
  const names = (what) => ({ message }) => message.includes(`the local QStash has no ${what};`);
  const queue = client.queue({ queueName: "js" });
  await assert.rejects(queue.enqueue({ url: here }), names(`POST /v2/enqueue/js/${here}`));
  const header = "header Upstash-Content-Based-Deduplication";
  await assert.rejects(client.publish({ url: here, contentBasedDeduplication: true }), names(header));
  await assert.rejects(client.logs({ count: 2 }), names("count in a query of this path"));
});

await check("the log tells each step of a message", async () => {
  const { messageId } = await client.publish({ url: `${here}/logged`, body: "x" });
  await arrivals("/logged");
  const { logs } = await until("its end", async () => {
    const page = await client.logs({ filter: { messageId } });
    return page.logs.some((log) => log.state === "DELIVERED") && page;
  });
  assert.deepEqual(logs.map((log) => log.state), ["DELIVERED", "ACTIVE", "CREATED"]);
  assert.deepEqual([logs[0].url, logs[0].messageId], [`${here}/logged`, messageId]);
});

await check("a schedule is made, replaced, paused, resumed and deleted", async () => {
  const scheduleId = "js.schedule-1";
  const made = { scheduleId, destination: `${here}/tick`, cron: "0 */6 * * *" };
  assert.deepEqual(await client.schedules.create({ ...made, body: "old" }), { scheduleId });
  await client.schedules.create({
    ...made,
    cron: "CRON_TZ=Europe/Berlin 5 4 * * *",
    body: '{"a":1}',
    retries: 1,
    delay: 60,
    timeout: 30,
    label: "js",
    flowControl: { key: "js-flow", parallelism: 1 },
    failureCallback: `${here}/failure`,
  });
  const told = await client.schedules.get(scheduleId);
  assert.equal(told.cron, "CRON_TZ=Europe/Berlin 5 4 * * *");
  assert.deepEqual([told.destination, told.method, told.body], [`${here}/tick`, "POST", '{"a":1}']);
  assert.deepEqual([told.retries, told.delay, told.isPaused], [1, 60, false]);
  assert.deepEqual([told.flowControlKey, told.parallelism, told.label], ["js-flow", 1, "js"]);
  assert.deepEqual(told.header["Content-Type"], ["application/json"]);
  await client.schedules.pause({ schedule: scheduleId });
  assert.equal((await client.schedules.get(scheduleId)).isPaused, true);
  await client.schedules.resume({ schedule: scheduleId });
  assert.equal((await client.schedules.get(scheduleId)).isPaused, false);
  const all = await client.schedules.list();
  assert.deepEqual(all.map((one) => one.scheduleId), [scheduleId]);
  await client.schedules.delete(scheduleId);
  await assert.rejects(client.schedules.get(scheduleId), fails(404));
  const bad = client.schedules.create({ destination: here, cron: "every day" });
  await assert.rejects(bad, fails(400));
});

await check("a wrong token and a wrong destination are refused", async () => {
  const stranger = new Client({ baseUrl: QSTASH_URL, token: "another", retry: false });
  await assert.rejects(stranger.publish({ url: here }), fails(401));
  await assert.rejects(client.publish({ url: "host/without/scheme" }), fails(400));
});

await check("a client in development mode finds it by its keys", async () => {
  process.env.QSTASH_DEV_PORT = new URL(QSTASH_URL).port;
  const log = console.log;
  console.log = () => {}; // The client says that it found a server.
  try {
    await new Client({ devMode: true }).publish({ url: `${here}/development` });
  } finally {
    console.log = log;
  }
  await arrivals("/development");
});

server.closeAllConnections();
server.close();
