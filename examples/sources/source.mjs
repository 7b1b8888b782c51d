// A source in plain JavaScript (Node 18 or newer): the same as source.py, line by line.
// node source.mjs quest 2025-05-24T10:00:00Z 2025-05-24T10:10:00Z < events.ndjson
import { createHash, createHmac } from "node:crypto";
import { readFileSync } from "node:fs";

const names = ["URL", "KEY", "ENVIRONMENT", "SOURCE", "KEY_ID", "SECRET"];
const ENV = Object.fromEntries(names.map((name) => [name, process.env[`FULLCOUNT_${name}`] ?? ""]));

async function post(path, body) {
  const headers = { Authorization: `Bearer ${ENV.KEY}`, "Content-Type": "application/json" };
  const response = await fetch(ENV.URL + path, { method: "POST", headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

function stamp(event) {
  const datadigest = createHash("sha256").update(JSON.stringify(event.data)).digest("hex");
  return { ...event, source: ENV.SOURCE, datadigest };
}

function element(stream, event) {
  const hmac = createHmac("sha256", Buffer.from(ENV.SECRET, "base64url"));
  for (const part of ["fm1", ENV.ENVIRONMENT, ENV.SOURCE, stream, event.id, event.datadigest]) {
    const told = Buffer.from(part), length = Buffer.alloc(4);
    length.writeUInt32BE(told.length);
    hmac.update(length).update(told);
  }
  return BigInt("0x" + hmac.digest("hex"));
}

const spell = (number) =>
  Buffer.from((number % (1n << 256n)).toString(16).padStart(64, "0"), "hex").toString("base64url");
const total = (elements) => spell(elements.reduce((sum, one) => sum + one, 0n));

const manifest = (stream, from, to, events, version = 1) => ({
  spec: "fm/1", source: ENV.SOURCE, stream, from, to, anchor: "record", version, count: events.length,
  alg: "hmac-sha256/sum256", key_id: ENV.KEY_ID, sum: total(events.map((event) => element(stream, event))),
});

function split(elements, lo = "0", hi = "10", parts = 16) {
  let digits = lo.length, low = parseInt(lo, 16), width = parseInt(hi, 16) - low;
  if (width < parts) [digits, low, width] = [digits + 1, low * 16, width * 16];
  const pieces = Array.from({ length: parts }, () => []), step = width / parts;
  for (const one of elements) {
    const place = Number((one >> BigInt(4 * (64 - digits))) - BigInt(low));
    if (place >= 0 && place < width) pieces[Math.floor(place / step)].push(one);
  }
  return { lo, hi, counts: pieces.map((piece) => piece.length), sums: pieces.map(total) };
}

async function findMissing(manifestId, stream, events) {
  const path = `/v1/manifests/${manifestId}/elements`;
  const known = events.map((event) => [element(stream, event), event]);
  const byName = new Map(known.map(([number, event]) => [spell(number), event]));
  const elements = known.map(([number]) => number), missing = [];
  for (let want = [{ lo: "0", hi: "10" }]; want.length; ) {
    const told = await post(path, { splits: want.map(({ lo, hi, parts }) => split(elements, lo, hi, parts)) });
    missing.push(...told.missing.map((name) => byName.get(name)));
    for (const { lo, hi } of told.few) {
      const shift = BigInt(4 * (64 - lo.length)), [low, high] = [lo, hi].map((end) => BigInt("0x" + end) << shift);
      const few = known.filter(([number]) => low <= number && number < high).map(([, event]) => event);
      const asked = few.map((event) => ({ id: event.id, digest: event.datadigest }));
      const lacking = (await post(path, { events: asked })).missing;
      missing.push(...few.filter((event) => lacking.includes(event.id)));
    }
    want = told.want;
  }
  return missing;
}

const [stream, begins, ends, mode] = process.argv.slice(2);
const events = readFileSync(0, "utf8").trim().split("\n").filter(Boolean).map((line) => stamp(JSON.parse(line)));
const declared = manifest(stream, begins, ends, events);
if (!ENV.URL) {
  console.log(JSON.stringify({ manifest: declared, split: split(events.map((event) => element(stream, event))) }));
  process.exit();
}
if (mode !== "repair") await post("/v1/events", events);
const told = await post("/v1/manifests", declared);
const lacking = "missing" in told ? await findMissing(told.manifest_id, stream, events) : [];
if (lacking.length) await post("/v1/events", lacking);
const beat = { stream, closed_through: ends, pending: 0 };
await post("/v1/heartbeats", { source: ENV.SOURCE, sent_at: new Date().toISOString(), seq: Date.now(), streams: [beat] });
console.log(JSON.stringify({ state: told.state, missing: lacking.map((event) => event.id) }));
