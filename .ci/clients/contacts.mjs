// Calls the functions of contacts with the official JavaScript client and nothing else, as an application does.

import assert from "node:assert/strict";
import { createClient } from "@supabase/supabase-js";

import { check } from "./checks.mjs";

const { APP_URL, SYNC_ADMIN_TOKEN, ALLOWED_ORIGIN, MAILERLITE_URL, MAILERLITE_API_KEY } = process.env;
// Node 20 has no WebSocket, which the client's other half asks for; nothing here speaks it.
const options = { auth: { persistSession: false }, realtime: { transport: class {} } };
const connect = (token) => createClient(APP_URL, token, options).functions;
const functions = connect(SYNC_ADMIN_TOKEN);

// The object that a function answered with, which has these fields.
async function good(name, body, fields) {
  const { data, error } = await functions.invoke(name, { body });
  assert.ok(!error, error && `${error.message}: ${await error.context?.text?.()}`);
  for (const field of fields) assert.ok(field in data, `${field} is not in ${JSON.stringify(data)}`);
  return data;
}

// The status and the object of a refusal, as the client gives them to an application.
async function refused(call) {
  const { data, error } = await call;
  assert.deepEqual([data, error?.name], [null, "FunctionsHttpError"]);
  return [error.context.status, await error.context.json()];
}

const subscriber = async (email) => {
  const headers = { Authorization: `Bearer ${MAILERLITE_API_KEY}`, Accept: "application/json" };
  const answer = await fetch(`${MAILERLITE_URL}/api/subscribers/${email}`, { headers });
  return (await answer.json()).data;
};

const D1 = ["done", "processed", "total", "created", "message"];
const D2 = ["recordsProcessed", "conflictsDetected", "updatesApplied", "errors", "done", "nextCursor", "message"];

await check("D1: a backfill answers with its progress", async () => {
  const report = await good("backfill-sync", { autoContinue: false }, D1);
  assert.equal(report.done, true);
});

await check("D2: a trial counts, and the enterprise sync writes", async () => {
  const trial = await good("enterprise-sync", { dryRun: true, allow: { create: "5" } }, D2);
  assert.deepEqual([trial.updatesApplied, trial.changes.create], [0, 2]);
  const direction = "supabase-to-mailerlite";
  const body = { direction, maxRecords: 10, maxDurationMs: 60_000, allow: { create: "5" } };
  const report = await good("enterprise-sync", body, D2);
  assert.deepEqual([report.done, report.updatesApplied, report.errors, report.nextCursor], [true, 2, 0, null]);
  assert.equal((await subscriber("bob@example.com")).fields.name, "Bob");
});

await check("D3: a smart sync answers for each address", async () => {
  for (const mode of ["AtoB", "BtoA", "bidirectional", "full"]) {
    const emails = ["Ann@example.com", "nobody@example.com"];
    const { ok, count, out } = await good("smart-sync", { emails, mode, dryRun: true }, ["ok", "count", "out"]);
    assert.deepEqual([ok, count, out.length], [true, 2, 2]);
    const ann = await subscriber("ann@example.com");
    assert.deepEqual([out[0].email, out[0].changed, out[0].b_id], ["ann@example.com", false, ann.id]);
    assert.deepEqual([out[1].skipped, out[1].b_id], [true, null]);
    assert.equal(typeof out[1].reason, "string");
  }
});

await check("D4: a wrong body is told to the application", async () => {
  for (const [name, body] of [
    ["smart-sync", { emails: ["ann@example.com"], mode: "sideways" }],
    ["smart-sync", { emails: [] }],
    ["smart-sync", { emails: ["no address"] }],
    ["enterprise-sync", { maxRecord: 1 }],
    ["backfill-sync", { force: "yes" }],
  ]) {
    const [status, answer] = await refused(functions.invoke(name, { body }));
    assert.equal(status, 400, `${name} ${JSON.stringify(answer)}`);
    assert.deepEqual([answer.success, typeof answer.error.code, typeof answer.error.message], [false, "string", "string"]);
  }
});

await check("D4: a wrong token is told to the application", async () => {
  for (const name of ["smart-sync", "enterprise-sync", "backfill-sync"]) {
    const [status, answer] = await refused(connect("a-token-that-nobody-has").invoke(name, { body: {} }));
    assert.deepEqual([status, answer.error.code], [401, "unauthorized"]);
  }
});

await check("D4: a page of a listed origin may call, and no other", async () => {
  const preflight = (origin) =>
    fetch(`${APP_URL}/functions/v1/smart-sync`, {
      method: "OPTIONS",
      headers: {
        Origin: origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,x-client-info,apikey,content-type",
      },
    });
  const allowed = await preflight(ALLOWED_ORIGIN);
  assert.ok(allowed.ok);
  assert.equal(allowed.headers.get("access-control-allow-origin"), ALLOWED_ORIGIN);
  const headers = allowed.headers.get("access-control-allow-headers").toLowerCase();
  for (const name of ["authorization", "x-client-info", "apikey", "content-type"]) assert.ok(headers.includes(name), name);
  const other = await preflight("https://evil.example.com");
  assert.equal(other.headers.get("access-control-allow-origin"), null);
});
