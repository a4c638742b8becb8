// Modules of the console without a page: their sources, bundled with a stand-in for the calls of the mesh.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { build } from "esbuild";

const SOURCES = join(process.cwd(), "console/src");
const standIn = {
  name: "stand-in",
  setup(into) {
    into.onResolve({ filter: /\/api\.js$/ }, () => ({ path: "api", namespace: "stand-in" }));
    into.onLoad({ filter: /.*/, namespace: "stand-in" }, () => ({ contents: "export const events = globalThis.events;" }));
  },
};

async function load(module) {
  const made = await build({
    entryPoints: [join(SOURCES, module)], bundle: true, format: "esm", platform: "node", write: false, plugins: [standIn],
  });
  return import(`data:text/javascript;base64,${Buffer.from(made.outputFiles[0].text).toString("base64")}`);
}

const loadGenerated = (module) => load(join("../../gen/ts/mailmesh", module));

const event = (number) => ({
  position: `p${number}`, kind: { case: "tenant", value: { eventId: `e${number}`, tenantId: "t", eventType: "tenant.connected", correlationId: "c", statusDetail: "" } },
});

// A store of 12,500 events, whose positions are their numbers: one a second, up to NOW.
const [STORED, NOW] = [12_500, Date.UTC(2026, 10, 28, 21)];
const calls = [];
globalThis.events = {
  async listEvents({ cursor, pageSize }) {
    calls.push(cursor);
    const from = cursor === "earliest" ? 0
      : cursor.startsWith("p") ? Number(cursor.slice(1)) : Math.max(0, STORED - Math.ceil((NOW - Date.parse(cursor)) / 1000));
    const last = Math.min(from + pageSize, STORED);
    const page = Array.from({ length: last - from }, (_, at) => event(from + at + 1));
    return { events: page, nextCursor: `p${last}`, hasMore: last < STORED };
  },
};
const { EARLIEST, partOf, placeBefore, searchedFrom, storedRows } = await load("stream.ts");
const { several } = await load("several.ts");
const { pointsOf } = await load("parts/chart.tsx");
const { signal } = new AbortController();

test("a long store is read in parts, each of which says where the next begins", async () => {
  const first = await storedRows("t", EARLIEST, signal);
  const rest = await storedRows("t", first.next, signal);

  assert.deepEqual([first.rows.length, first.next], [10_000, "p10000"]);
  assert.deepEqual([rest.rows.length, rest.rows[0].position, rest.rows.at(-1).position, rest.next], [2_500, "p10001", "p12500", ""]);
});

const isThere = (number) => (rows) => rows.some((row) => row.position === `p${number}`);
const numbers = (rows) => [rows.length, rows[0]?.position, rows.at(-1)?.position];

test("a search begins shortly before its time and reads no more than it needs", async () => {
  calls.length = 0;
  const part = await partOf("t", placeBefore(NOW), isThere(12_400), signal);

  assert.deepEqual([numbers(part.rows), part.rest, calls.length], [[300, "p12201", "p12500"], null, 1]);
  assert.equal(searchedFrom(part).getTime(), NOW - 300_000);
});

test("what is older is found in the next step, which ends at what was read already", async () => {
  const part = await partOf("t", placeBefore(NOW), isThere(9_000), signal);

  assert.deepEqual([numbers(part.rows), part.earlier.step, part.rest], [[3_600, "p8901", "p12500"], 2, null]);
});

test("a step that is too long is read on behind its part, and what is older behind that", async () => {
  const never = () => false;
  const first = await partOf("t", placeBefore(NOW), never, signal);
  // The step of a day has 8,900 events before those of an hour: the store ends there, and the last step finds nothing.
  assert.deepEqual([numbers(first.rows), first.earlier, first.rest], [[12_500, "p1", "p12500"], null, null]);
  assert.equal(searchedFrom(first), undefined);

  const place = { ...placeBefore(NOW), step: 2 };
  const long = await partOf("t", place, never, signal);
  assert.deepEqual([numbers(long.rows), long.earlier.step, long.earlier.stop], [[10_000, "p1", "p10000"], 3, "p1"]);
  const rest = await partOf("t", long.rest, never, signal);
  assert.deepEqual([numbers(rest.rows), rest.rest, rest.earlier], [[2_500, "p10001", "p12500"], null, long.earlier]);
  const older = await partOf("t", rest.earlier, never, signal);
  assert.deepEqual([older.rows, older.earlier, older.rest], [[], null, null]);
});

test("many calls are made a few at a time, and keep their order", async () => {
  let [running, most] = [0, 0];
  const results = await several([...Array(30).keys()], 4, async (number) => {
    most = Math.max(most, ++running);
    await new Promise((done) => setTimeout(done, number % 3));
    running -= 1;
    return number * 2;
  });

  assert.equal(most, 4);
  assert.deepEqual(results, [...Array(30).keys()].map((number) => number * 2));
  assert.deepEqual(await several([], 4, async () => 1), []);
});

test("a failed call begins no further one", async () => {
  let begun = 0;
  const failing = several([...Array(30).keys()], 2, async () => {
    begun += 1;
    await null;
    throw new Error("refused");
  });

  await assert.rejects(failing, /refused/);
  assert.equal(begun, 2);
});

const { NO_ACCESS, accessOf } = await load("access.ts");

test("the parts of an endpoint's access belong together, as on the command line", () => {
  const faults = [
    { certificate: "pem" }, { key: "pem" }, { tokenUrl: "https://id.example" }, { clientId: "a" }, { clientSecret: "s" }, { scope: "x" },
    { tokenUrl: "https://id.example", clientId: "a" }, { tokenUrl: "https://id.example", clientId: "a", clientSecret: "  " },
  ].map((given) => accessOf({ ...NO_ACCESS, ...given }));

  assert.ok(faults.every(({ fault, parts }) => /belong together/.test(fault) && Object.keys(parts).length === 0));
  assert.deepEqual(accessOf(NO_ACCESS), { parts: {}, fault: "" });
});

test("a certificate's bytes stay as they are, and the space around a secret is none of it", () => {
  const { parts, fault } = accessOf({
    certificate: " pem\n", key: "key\n", tokenUrl: " https://id.example ", clientId: "a ", clientSecret: "s\n", scope: "",
  });

  assert.equal(fault, "");
  assert.deepEqual(parts, {
    clientCertificate: { certificate: " pem\n", key: "key\n" },
    clientCredentials: { tokenUrl: "https://id.example", clientId: "a", clientSecret: "s", scope: "" },
  });
});

const { commandsOf, quoted } = await load("commands.ts");
const { EventService } = await loadGenerated("processor/v1/event_service_pb.ts");
const { DeadLetterService } = await loadGenerated("ingest/v1/dead_letter_service_pb.ts");
const local = new URL("http://127.0.0.1:8080");

test("a call is a command with its path, its parameters and its body", () => {
  const read = commandsOf({ method: EventService.method.getEvent, request: { eventId: "a/b" } }, local);
  const list = commandsOf({ method: EventService.method.listEvents, request: { cursor: "earliest", filter: { tenantIds: ["t", "u"] } } }, local);
  const retry = commandsOf({ method: DeadLetterService.method.retryDeadLetters, request: { deadLetterIds: ["x"] } }, new URL("https://mesh.example.com"));

  assert.equal(read.curl, `curl -H "Authorization: Bearer $MAILMESH_API_KEY" 'http://127.0.0.1:8080/v1/events/a%2Fb'`);
  assert.equal(list.curl.split(" ").at(-1), "'http://127.0.0.1:8080/v1/events?cursor=earliest&filter.tenantIds=t&filter.tenantIds=u'");
  assert.match(retry.curl, / -X POST .* -d '\{"deadLetterIds":\["x"\]\}' 'https:\/\/mesh\.example\.com\/v1\/dead-letters:retry'$/);
  assert.match(list.grpcurl, /^grpcurl -plaintext .* 127\.0\.0\.1:8080 mailmesh\.processor\.v1\.EventService\/ListEvents$/);
  assert.match(retry.grpcurl, /^grpcurl -H .* mesh\.example\.com:443 mailmesh\.ingest\.v1\.DeadLetterService\/RetryDeadLetters$/);
});

test("a value of a filter stays one word of the shell", () => {
  const hostile = `'; touch /tmp/x #$(id)\``;
  assert.equal(execFileSync("sh", ["-c", `printf %s ${quoted(hostile)}`]).toString(), hostile);
  const { curl } = commandsOf({ method: EventService.method.listEvents, request: { cursor: hostile } }, local);
  assert.ok(!curl.includes("touch /tmp/x #$"), curl);
});

test("the line of a graph stays in its box", () => {
  assert.equal(pointsOf([]), "");
  assert.equal(pointsOf([{ at: 10, value: 0 }, { at: 20, value: 5 }, { at: 30, value: 10 }]), "0.00,40.00 50.00,20.00 100.00,0.00");
});
