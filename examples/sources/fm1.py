"""The arithmetic and the requests of `fm/1`, in plain Python: a file to be copied beside a source.

FULLCOUNT_URL, _KEY, _ENVIRONMENT, _SOURCE, _KEY_ID and _SECRET say where to and who.
"""

import hashlib
import hmac
import json
import os
import time
import urllib.request
from base64 import urlsafe_b64decode, urlsafe_b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

ENV = {name: os.environ.get(f"FULLCOUNT_{name}", "") for name in
       ("URL", "KEY", "ENVIRONMENT", "SOURCE", "KEY_ID", "SECRET", "PORT")}  # fmt: skip


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


def beat(stream, closed_through, pending=0):
    now, part = time.time_ns(), {"stream": stream, "closed_through": closed_through}
    sent_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now // 10**9))
    told = {"source": ENV["SOURCE"], "sent_at": sent_at, "seq": now // 10**6}
    return post("/v1/heartbeats", {**told, "streams": [{**part, "pending": pending}]})


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


def within(known, lo, hi):
    low, high = (int(end, 16) << 4 * (64 - len(lo)) for end in (lo, hi))
    return [event for number, event in known.items() if low <= number < high]


def find_missing(told, stream, events):
    """What is missing, by the answer to a manifest: for a source that cannot be asked."""
    known = {element(stream, event): event for event in events}
    by_name = {spell(number): event for number, event in known.items()}
    path, missing = f"/v1/manifests/{told['manifest_id']}/elements", []
    want = [{"lo": "0", "hi": "10"}] if "missing" in told else []
    while want:
        answer = post(path, {"splits": [split(known, **part) for part in want]})
        missing += [by_name[name] for name in answer["missing"]]
        for part in answer["few"]:
            few = {event["id"]: event for event in within(known, part["lo"], part["hi"])}
            asked = [{"id": event["id"], "digest": event["datadigest"]} for event in few.values()]
            missing += [few[name] for name in post(path, {"events": asked})["missing"]]
        want = answer["want"]
    return missing


def answer(target, read_events):
    """What `GET .../fm/ranges?...` and `GET .../fm/events?...` are answered."""
    asked = dict(parse_qsl(urlsplit(target).query))
    events = read_events(asked["stream"], asked["from"], asked["to"])
    known = {element(asked["stream"], event): event for event in events}
    if urlsplit(target).path.endswith("/fm/ranges"):
        return split(known, asked["lo"], asked["hi"], int(asked["split"]))
    following = None
    if "elements" in asked:
        wanted = set(asked["elements"].split(","))
        found = [event for number, event in known.items() if spell(number) in wanted]
    elif "lo" in asked:
        found = within(known, asked["lo"], asked["hi"])
    else:
        after = asked.get("after", "")
        rest = sorted((e for e in events if e["id"] > after), key=lambda event: event["id"])
        found = rest[: int(asked["limit"])]
        following = found[-1]["id"] if len(found) < len(rest) else None
    fields = asked["fields"].split(",") if "fields" in asked else ["id", "datadigest"]
    return {"events": [{f: event.get(f) for f in fields} for event in found], "next": following}


def serve(read_events):
    """Answer until the process ends; read_events gives a stream's events between two moments."""

    class Asked(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(answer(self.path, read_events), separators=(",", ":")).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", int(ENV["PORT"] or 0)), Asked)
    print(json.dumps({"port": server.server_port}), flush=True)
    server.serve_forever()
