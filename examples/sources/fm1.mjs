// The arithmetic and the requests of fm/1, in plain JavaScript (Node 18 or newer): a file to be copied
// beside a source; the same as fm1.py, line by line.
import { createHash, createHmac } from "node:crypto";
import { createServer } from "node:http";

const names = ["URL", "KEY", "ENVIRONMENT", "SOURCE", "KEY_ID", "SECRET", "PORT"];
const ENV = Object.fromEntries(names.map((name) => [name, process.env[`FULLCOUNT_${name}`] ?? ""]));

export async function post(path, body) {
  const headers = { Authorization: `Bearer ${ENV.KEY}`, "Content-Type": "application/json" };
  const response = await fetch(ENV.URL + path, { method: "POST", headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

export function stamp(event) {
  const datadigest = createHash("sha256").update(JSON.stringify(event.data)).digest("hex");
  return { ...event, source: ENV.SOURCE, datadigest };
}

export function element(stream, event) {
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
const know = (stream, events) => events.map((event) => [element(stream, event), event]);

export const manifest = (stream, from, to, events, version = 1) => ({
  spec: "fm/1", source: ENV.SOURCE, stream, from, to, anchor: "record", version, count: events.length,
  alg: "hmac-sha256/sum256", key_id: ENV.KEY_ID, sum: total(events.map((event) => element(stream, event))),
});

export function beat(stream, closed_through, pending = 0) {
  const told = { source: ENV.SOURCE, sent_at: new Date().toISOString(), seq: Date.now() };
  return post("/v1/heartbeats", { ...told, streams: [{ stream, closed_through, pending }] });
}

export function split(elements, lo = "0", hi = "10", parts = 16) {
  let digits = lo.length, low = BigInt("0x" + lo), width = Number(BigInt("0x" + hi) - low);
  if (width < parts) [digits, low, width] = [digits + 1, low * 16n, width * 16];
  const pieces = Array.from({ length: parts }, () => []), step = width / parts;
  for (const one of elements) {
    const place = Number((one >> BigInt(4 * (64 - digits))) - low);
    if (place >= 0 && place < width) pieces[Math.floor(place / step)].push(one);
  }
  return { lo, hi, counts: pieces.map((piece) => piece.length), sums: pieces.map(total) };
}

function within(known, lo, hi) {
  const shift = BigInt(4 * (64 - lo.length)), [low, high] = [lo, hi].map((end) => BigInt("0x" + end) << shift);
  return known.filter(([number]) => low <= number && number < high).map(([, event]) => event);
}

// What is missing, by the answer to a manifest: for a source that cannot be asked.
export async function findMissing(told, stream, events) {
  const known = know(stream, events), missing = [];
  const byName = new Map(known.map(([number, event]) => [spell(number), event]));
  const path = `/v1/manifests/${told.manifest_id}/elements`, elements = known.map(([number]) => number);
  let want = told.missing ? [{ lo: "0", hi: "10" }] : [];
  while (want.length) {
    const answer = await post(path, { splits: want.map(({ lo, hi, parts }) => split(elements, lo, hi, parts)) });
    missing.push(...answer.missing.map((name) => byName.get(name)));
    for (const { lo, hi } of answer.few) {
      const few = within(known, lo, hi);
      const asked = few.map((event) => ({ id: event.id, digest: event.datadigest }));
      const lacking = (await post(path, { events: asked })).missing;
      missing.push(...few.filter((event) => lacking.includes(event.id)));
    }
    want = answer.want;
  }
  return missing;
}

// What `GET .../fm/ranges?...` and `GET .../fm/events?...` are answered.
export function answer(target, readEvents) {
  const { pathname, searchParams } = new URL(target, "http://source");
  const asked = Object.fromEntries(searchParams), { stream, lo, hi } = asked;
  const events = readEvents(stream, asked.from, asked.to), known = know(stream, events);
  if (pathname.endsWith("/fm/ranges")) {
    return split(known.map(([number]) => number), lo, hi, Number(asked.split));
  }
  let found, next = null;
  if ("elements" in asked) {
    const wanted = new Set(asked.elements.split(","));
    found = known.filter(([number]) => wanted.has(spell(number))).map(([, event]) => event);
  } else if (lo !== undefined) {
    found = within(known, lo, hi);
  } else {
    const rest = events.filter(({ id }) => id > (asked.after ?? "")).sort((a, b) => (a.id < b.id ? -1 : 1));
    found = rest.slice(0, Number(asked.limit));
    if (found.length < rest.length) next = found.at(-1).id;
  }
  const fields = (asked.fields ?? "id,datadigest").split(",");
  return { events: found.map((event) => Object.fromEntries(fields.map((name) => [name, event[name]]))), next };
}

// Answer until the process ends; readEvents gives a stream's events between two moments.
export function serve(readEvents) {
  const server = createServer((request, response) => {
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify(answer(request.url, readEvents)));
  });
  server.listen(Number(ENV.PORT), "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));
}
