// Reads the stand-in for PostgREST with the official JavaScript client, as people do.

import assert from "node:assert/strict";
import { createClient } from "@supabase/supabase-js";

import { check } from "./checks.mjs";

const { SUPABASE_URL, SUPABASE_SERVICE_ROLE_KEY, SUPABASE_SECRET_KEY, SUPABASE_ANON_KEY } =
  process.env;
// Node 20 has no WebSocket, which the client's other half asks for; nothing here speaks it.
const options = { auth: { persistSession: false }, realtime: { transport: class {} } };
const connect = (key) => createClient(SUPABASE_URL, key, options);
const client = connect(SUPABASE_SECRET_KEY);

// What a call gave, if it went well.
async function good(call, status = 200) {
  const { data, error, count, status: found } = await call;
  assert.equal(error, null, JSON.stringify(error));
  assert.equal(found, status);
  return { data, count };
}

// What a call was refused with.
async function refused(call, status, code) {
  const { error, status: found } = await call;
  assert.ok(error, "it was not refused");
  assert.deepEqual([found, error.code], [status, code], error.message);
  return error;
}

const ids = ({ data }) => data.map((row) => row.id);

await check("columns are selected, renamed and cast", async () => {
  const call = client.from("books").select("number:id::text, title, price, tags").eq("id", 2);
  const { data } = await good(call);
  assert.deepEqual(data, [
    { number: "2", title: "Two, too (2)", price: 1.5, tags: ["a", "b,c"] },
  ]);
});

await check("filters find their rows", async () => {
  const from = () => client.from("books").select("id").order("id");
  const cases = [
    [from().gt("id", 1).lte("id", 3), [2, 3]],
    [from().in("title", ["One", "Two, too (2)"]), [1, 2]],
    [from().is("author_id", null), [3, 4]],
    [from().not("author_id", "is", null), [1, 2]],
    [from().like("title", "%ee"), [3]],
    [from().neq("id", 1).lt("id", 3), [2]],
    [from().or("id.eq.4,and(author_id.eq.1,id.gte.2)"), [2, 4]],
    [from().match({ id: 1, title: "One" }), [1]],
    [from().eq("title", "a&b=c+d"), []],
  ];
  for (const [call, expected] of cases) assert.deepEqual(ids(await good(call)), expected);
});

await check("rows are ordered, nulls where they are wanted", async () => {
  const by = (options) => client.from("books").select("id").order("author_id", options);
  assert.deepEqual(ids(await good(by({ nullsFirst: true }).order("id"))), [3, 4, 1, 2]);
  const last = by({ ascending: false, nullsFirst: false }).order("id", { ascending: false });
  assert.deepEqual(ids(await good(last)), [2, 1, 4, 3]);
});

await check("a range is a page, and the count is of all", async () => {
  const call = client.from("books").select("id", { count: "exact" }).order("id").range(1, 2);
  const { data, count } = await good(call, 206);
  assert.deepEqual([data, count], [[{ id: 2 }, { id: 3 }], 4]);
  assert.deepEqual(ids(await good(client.from("books").select("id").order("id").limit(1))), [1]);
});

await check("rows are counted without being sent", async () => {
  const call = client.from("books").select("*", { count: "exact", head: true }).gt("id", 1);
  const { data, count } = await good(call);
  assert.deepEqual([data, count], [null, 3]);
});

await check("one row is an object, and none or many are not", async () => {
  const book = (id) => client.from("books").select("id").eq("id", id);
  assert.deepEqual((await good(book(1).single())).data, { id: 1 });
  await refused(book(99).single(), 406, "PGRST116");
  await refused(client.from("books").select().single(), 406, "PGRST116");
  assert.equal((await good(book(99).maybeSingle())).data, null);
  assert.deepEqual((await good(book(1).maybeSingle())).data, { id: 1 });
});

await check("functions are called", async () => {
  assert.equal((await good(client.rpc("add", { a: 2 }))).data, 4);
  assert.equal((await good(client.rpc("add", { a: 2, b: 3 }, { get: true }))).data, 5);
  await good(client.rpc("rename", { old: "Bob", new: "Rob" }), 204);
  assert.deepEqual((await good(client.rpc("titles").limit(2))).data, ["One", "Two, too (2)"]);
  const cheap = client.rpc("cheaper", { than: 2 }).select("id").order("id");
  assert.deepEqual(ids(await good(cheap)), [1, 2]);
  const payload = { a: [1, { b: null }] };
  assert.deepEqual((await good(client.rpc("echo", { payload }))).data, payload);
});

await check("what the database refuses is told with its code", async () => {
  const books = client.from("books");
  await refused(books.select("nope"), 400, "42703");
  await refused(books.select().eq("id", "x"), 400, "22P02");
  await refused(client.from("nowhere").select(), 404, "PGRST205");
  await refused(client.rpc("nothing"), 404, "PGRST202");
  const { message, details, hint } = await refused(client.rpc("fail"), 400, "P0001");
  assert.deepEqual([message, details, hint], ["no luck", "none at all", "try again"]);
});

await check("rows come as CSV", async () => {
  const { data } = await good(client.from("books").select("id,price").lt("id", 3).order("id").csv());
  assert.equal(data, "id,price\n1,0.50\n2,1.50");
});

await check("both kinds of keys open, and others do not", async () => {
  const ask = (key) => connect(key).from("books").select("id").eq("id", 1);
  assert.deepEqual(ids(await good(ask(SUPABASE_SERVICE_ROLE_KEY))), [1]);
  await refused(ask(SUPABASE_ANON_KEY), 401, "42501");
  const { error, status } = await ask("nonsense");
  assert.deepEqual([status, error.message], [401, "Invalid API key"]);
});
