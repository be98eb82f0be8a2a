// Checks of a client: each prints `ok NAME` or `FAILED NAME: WHY`, and one that fails fails the process.

export async function check(name, body) {
  try {
    await body();
    console.log(`ok js: ${name}`);
  } catch (error) {
    process.exitCode = 1;
    console.log(`FAILED js: ${name}: ${String(error.stack ?? error).replaceAll("\n", " | ")}`);
  }
}

// What was waited for, once there is something.
export async function until(what, found) {
  for (const begun = Date.now(); Date.now() - begun < 20_000; ) {
    const value = await found();
    if (value) return value;
    await new Promise((later) => setTimeout(later, 10));
  }
  throw new Error(`not in time: ${what}`);
}
