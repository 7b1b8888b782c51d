"""A source in plain Python: sends events, declares them, finds and sends what is missing, beats."""

# python source.py quest 2025-05-24T10:00:00Z 2025-05-24T10:10:00Z < events.ndjson
#
# The lines are all events of this stream recorded in this interval. FULLCOUNT_URL, _KEY,
# _ENVIRONMENT, _SOURCE, _KEY_ID and _SECRET say where to and who; without FULLCOUNT_URL it shows
# what it would declare; with a last word `repair` it sends only what is missing.
# All of it is told in docs/completeness.md.

import hashlib
import hmac
import json
import os
import sys
import time
import urllib.request
from base64 import urlsafe_b64decode, urlsafe_b64encode

ENV = {name: os.environ.get(f"FULLCOUNT_{name}", "") for name in
       ("URL", "KEY", "ENVIRONMENT", "SOURCE", "KEY_ID", "SECRET")}  # fmt: skip


def post(path, body):
    headers = {"Authorization": f"Bearer {ENV['KEY']}", "Content-Type": "application/json"}
    request = urllib.request.Request(ENV["URL"] + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def stamp(event):
    data = json.dumps(event["data"], separators=(",", ":"), ensure_ascii=False).encode()
    return {**event, "source": ENV["SOURCE"], "datadigest": hashlib.sha256(data).hexdigest()}


def element(stream, event):
    parts = ("fm1", ENV["ENVIRONMENT"], ENV["SOURCE"], stream, event["id"], event["datadigest"])
    told = b"".join(len(p.encode()).to_bytes(4, "big") + p.encode() for p in parts)
    key = urlsafe_b64decode(ENV["SECRET"] + "=")
    return int.from_bytes(hmac.digest(key, told, "sha256"), "big")


def spell(number):
    return urlsafe_b64encode((number % 2**256).to_bytes(32, "big")).decode().rstrip("=")


def manifest(stream, begins, ends, events, version=1):
    total = spell(sum(element(stream, event) for event in events))
    return {"spec": "fm/1", "source": ENV["SOURCE"], "stream": stream, "from": begins, "to": ends,
            "anchor": "record", "version": version, "count": len(events),
            "alg": "hmac-sha256/sum256", "key_id": ENV["KEY_ID"], "sum": total}  # fmt: skip


def split(elements, lo="0", hi="10", parts=16):
    digits, low, width = len(lo), int(lo, 16), int(hi, 16) - int(lo, 16)
    if width < parts:
        digits, low, width = digits + 1, low * 16, width * 16
    pieces, step = [[] for _ in range(parts)], width // parts
    for one in elements:
        place = (one >> 4 * (64 - digits)) - low
        if 0 <= place < width:
            pieces[place // step].append(one)
    sums = [spell(sum(piece)) for piece in pieces]
    return {"lo": lo, "hi": hi, "counts": [len(piece) for piece in pieces], "sums": sums}


def find_missing(manifest_id, stream, events):
    path, known = f"/v1/manifests/{manifest_id}/elements", {element(stream, e): e for e in events}
    by_name = {spell(number): event for number, event in known.items()}
    want, missing = [{"lo": "0", "hi": "10"}], []
    while want:
        told = post(path, {"splits": [split(known, **part) for part in want]})
        missing += [by_name[name] for name in told["missing"]]
        for part in told["few"]:
            low, high = (int(part[end], 16) << 4 * (64 - len(part["lo"])) for end in ("lo", "hi"))
            few = {event["id"]: event for e, event in known.items() if low <= e < high}
            asked = [{"id": event["id"], "digest": event["datadigest"]} for event in few.values()]
            missing += [few[name] for name in post(path, {"events": asked})["missing"]]
        want = told["want"]
    return missing


if __name__ == "__main__":
    stream, begins, ends, *mode = sys.argv[1:]
    events = [stamp(json.loads(line)) for line in sys.stdin]
    declared = manifest(stream, begins, ends, events)
    if not ENV["URL"]:
        elements = [element(stream, event) for event in events]
        print(json.dumps({"manifest": declared, "split": split(elements)}))
        sys.exit()
    if mode != ["repair"]:
        post("/v1/events", events)
    told = post("/v1/manifests", declared)
    lacking = find_missing(told["manifest_id"], stream, events) if "missing" in told else []
    if lacking:
        post("/v1/events", lacking)
    now, beat = time.time_ns(), {"stream": stream, "closed_through": ends, "pending": 0}
    sent_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now // 10**9))
    alive = {"source": ENV["SOURCE"], "sent_at": sent_at, "seq": now // 10**6, "streams": [beat]}
    post("/v1/heartbeats", alive)
    print(json.dumps({"state": told["state"], "missing": [event["id"] for event in lacking]}))
