// Drives a local MailerLite with the official JavaScript client, and takes its webhooks.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import http from "node:http";
import sdk from "@mailerlite/mailerlite-nodejs";

import { check, until } from "./checks.mjs";

const MailerLite = sdk.default ?? sdk;
const { MAILERLITE_URL, MAILERLITE_API_KEY } = process.env;
const connect = (api_key) => new MailerLite({ api_key, base_path: MAILERLITE_URL });
const client = connect(MAILERLITE_API_KEY);

// What a call gave, if it was answered so.
async function good(call, status = 200) {
  const { data, status: found } = await call;
  assert.equal(found, status);
  return data;
}

// What a call was refused with.
async function refused(call, status) {
  const { response } = await call.then(
    () => assert.fail("it was not refused"),
    (error) => error,
  );
  assert.equal(response.status, status, JSON.stringify(response.data));
  return response.data;
}

const add = async (email, more = {}) =>
  (await good(client.subscribers.createOrUpdate({ email, ...more }), 201)).data;

await check("a subscriber is made, written, found and counted", async () => {
  const fields = { name: "Ann", city: "Ulm" };
  const made = await add("Ann@example.com", { fields });
  assert.deepEqual(
    [made.email, made.status, made.fields.name],
    ["ann@example.com", "active", "Ann"],
  );
  const again = await good(
    client.subscribers.createOrUpdate({ email: "ann@example.com", fields: { city: "Bonn" } }),
  );
  assert.deepEqual([again.data.id, again.data.fields.name], [made.id, "Ann"]);
  const put = await good(
    client.subscribers.update(made.id, { email: "ann2@example.com", fields: { name: null } }),
  );
  assert.deepEqual(
    [put.data.email, put.data.fields.name, put.data.fields.city],
    ["ann2@example.com", null, "Bonn"],
  );
  assert.equal((await good(client.subscribers.find(made.id))).data.email, "ann2@example.com");
  assert.equal((await good(client.subscribers.find("ann2@example.com"))).data.id, made.id);
  assert.equal((await good(client.subscribers.getCount())).total, 1);
});

await check("an id is a text that no number holds", async () => {
  const { id } = await add("id@example.com");
  assert.equal(typeof id, "string");
  assert.ok(Number(id) > Number.MAX_SAFE_INTEGER);
});

await check("a list goes on by its cursor, filtered and with groups", async () => {
  const group = (await good(client.groups.create({ name: "Walkers" }), 201)).data;
  for (const name of ["w1", "w2", "w3"]) await add(`${name}@example.com`, { groups: [group.id] });
  const page = { limit: 2, include: "groups", filter: { status: "active" } };
  const first = await good(client.subscribers.get(page));
  assert.deepEqual(
    first.data.map((row) => row.email),
    ["w3@example.com", "w2@example.com"],
  );
  assert.equal(first.data[0].groups[0].name, "Walkers");
  assert.equal(first.meta.prev_cursor, null);
  const second = await good(client.subscribers.get({ ...page, cursor: first.meta.next_cursor }));
  assert.equal(second.data[0].email, "w1@example.com");
});

await check("groups are made, joined, listed, left and deleted", async () => {
  const { id } = (await good(client.groups.create({ name: "Partners" }), 201)).data;
  const member = await add("member@example.com");
  await good(client.groups.assignSubscriber(member.id, id), 201);
  const members = await good(
    client.groups.getSubscribers(id, { filter: { status: "active" }, limit: 10 }),
  );
  assert.deepEqual(
    members.data.map((row) => row.id),
    [member.id],
  );
  const found = await good(client.groups.get({ filter: { name: "partn" }, limit: 10, page: 1 }));
  assert.deepEqual(
    found.data.map((group) => [group.id, group.active_count]),
    [[id, 1]],
  );
  await good(client.groups.unAssignSubscriber(member.id, id), 204);
  assert.deepEqual(await refused(client.groups.unAssignSubscriber(member.id, id), 404), {
    message: "",
  });
  assert.equal((await good(client.groups.update(id, { name: "Friends" }))).data.name, "Friends");
  await good(client.groups.delete(id), 204);
});

await check("fields are made, renamed and deleted", async () => {
  const made = (await good(client.fields.create({ name: "Loyalty tier", type: "number" }), 201))
    .data;
  assert.deepEqual([made.key, made.is_default], ["loyalty_tier", false]);
  const renamed = (await good(client.fields.update(made.id, { name: "Tier" }))).data;
  assert.deepEqual([renamed.name, renamed.key], ["Tier", "loyalty_tier"]);
  assert.equal((await good(client.fields.get({ limit: 100 }))).meta.total, 9);
  await good(client.fields.delete(made.id), 204);
});

await check("a batch answers for each call", async () => {
  const { id } = await add("batch@example.com");
  const requests = [
    { method: "PUT", path: `api/subscribers/${id}`, body: { fields: { city: "Kiel" } } },
    { method: "POST", path: "api/subscribers", body: { email: "nowhere" } },
    { method: "GET", path: "api/subscribers", body: { limit: 1 } },
  ];
  const batch = await good(client.batches.send({ requests }));
  assert.deepEqual([batch.total, batch.successful, batch.failed], [3, 2, 1]);
  assert.deepEqual(
    batch.responses.map((one) => one.code),
    [200, 422, 200],
  );
  assert.equal(batch.responses[0].body.data.fields.city, "Kiel");
});

await check("what is refused is told with its path", async () => {
  const invalid = await refused(client.subscribers.createOrUpdate({ email: "nowhere" }), 422);
  assert.ok(invalid.errors.email.length > 0 && invalid.message);
  assert.match((await refused(client.subscribers.find("1"), 404)).message, /No query results/);
  assert.deepEqual(await refused(connect("x").fields.get({}), 401), {
    message: "Unauthenticated.",
  });
  assert.match(
    (await refused(client.campaigns.get({}), 404)).message,
    /has no GET \/api\/campaigns/,
  );
});

await check("who was unsubscribed is not made active", async () => {
  const { id } = await add("left@example.com");
  const left = await good(client.subscribers.update(id, { status: "unsubscribed" }));
  assert.equal(left.data.status, "unsubscribed");
  const again = await refused(
    client.subscribers.createOrUpdate({ email: "left@example.com" }),
    422,
  );
  assert.equal(again.subscriber, id);
});

await check(
  "who was deleted comes back under the old id, who is forgotten is told when",
  async () => {
    const { id } = await add("gone@example.com");
    await good(client.subscribers.delete(id), 204);
    await refused(client.subscribers.find(id), 404);
    assert.equal(
      (await good(client.subscribers.createOrUpdate({ email: "gone@example.com" }))).data.id,
      id,
    );
    assert.ok((await good(client.subscribers.forget(id))).data.forget_at);
  },
);

await check("a webhook tells what happened, signed with its secret", async () => {
  const arrived = [];
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    arrived.push({ signature: request.headers.signature, body: Buffer.concat(chunks) });
    response.end();
  });
  server.unref(); // A check that fails leaves it open.
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const url = `http://127.0.0.1:${server.address().port}/hook`;
  const made = (
    await good(client.webhooks.create({ name: "H", url, events: ["subscriber.created"] }), 201)
  ).data;
  await add("hooked@example.com");
  const [{ signature, body }] = await until("a delivery", () => arrived.length > 0 && arrived);
  const told = JSON.parse(body);
  assert.deepEqual([told.event, told.email], ["subscriber.created", "hooked@example.com"]);
  assert.equal(signature, createHmac("sha256", made.secret).update(body).digest("hex"));
  assert.equal((await good(client.webhooks.find(made.id))).data.secret, made.secret);
  assert.equal((await good(client.webhooks.get())).data.length, 1);
  assert.equal(
    (await good(client.webhooks.update(made.id, { enabled: false }))).data.enabled,
    false,
  );
  await good(client.webhooks.delete(made.id), 204);
  server.close();
});

await check("the window of the rate limit falls with each call", async () => {
  const { headers: before } = await client.fields.get({});
  const { headers: after } = await client.fields.get({});
  assert.equal(before["x-ratelimit-limit"], "120");
  assert.ok(after["x-ratelimit-remaining"] - before["x-ratelimit-remaining"] === -1);
});
