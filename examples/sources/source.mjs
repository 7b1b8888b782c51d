// A source in plain JavaScript: the same as source.py, line by line.
// node source.mjs quest 2025-05-24T10:00:00Z 2025-05-24T10:10:00Z [repair|serve|show] < events
import { readFileSync } from "node:fs";
import { beat, element, findMissing, manifest, post, serve, split, stamp } from "./fm1.mjs";

const [stream, begins, ends, mode] = process.argv.slice(2);
const lines = readFileSync(0, "utf8").trim().split("\n").filter(Boolean); // all records of this interval
const events = lines.map((line) => stamp(JSON.parse(line)));
const declared = manifest(stream, begins, ends, events);
if (mode === "show") {
  const shown = split(events.map((event) => element(stream, event)));
  console.log(JSON.stringify({ manifest: declared, split: shown }));
} else if (mode === "serve") {
  serve((_stream, _begins, _ends) => events);
} else {
  if (mode !== "repair") await post("/v1/events", events);
  const told = await post("/v1/manifests", declared);
  const lacking = await findMissing(told, stream, events);
  if (lacking.length) await post("/v1/events", lacking);
  await beat(stream, ends);
  console.log(JSON.stringify({ state: told.state, missing: lacking.map((event) => event.id) }));
}
