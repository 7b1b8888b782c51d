"""A source in plain Python: sends events, declares and beats, sends what is missing, answers."""

import json
import sys

import fm1

# python source.py quest 2025-05-24T10:00:00Z 2025-05-24T10:10:00Z [repair|serve|show] < events
stream, begins, ends, *mode = sys.argv[1:]
events = [fm1.stamp(json.loads(line)) for line in sys.stdin]  # all records of this interval
declared = fm1.manifest(stream, begins, ends, events)
if mode == ["show"]:
    shown = fm1.split([fm1.element(stream, event) for event in events])
    print(json.dumps({"manifest": declared, "split": shown}))
elif mode == ["serve"]:
    fm1.serve(lambda _stream, _begins, _ends: events)
else:
    if mode != ["repair"]:
        fm1.post("/v1/events", events)
    told = fm1.post("/v1/manifests", declared)
    lacking = fm1.find_missing(told, stream, events)
    if lacking:
        fm1.post("/v1/events", lacking)
    fm1.beat(stream, closed_through=ends)
    print(json.dumps({"state": told["state"], "missing": [event["id"] for event in lacking]}))
