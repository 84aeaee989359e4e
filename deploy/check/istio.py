"""Validates the Istio objects in a list of objects (JSON) on standard input.

Exits with 1 if one is invalid (an unknown field counts), or if there is none.
"""

import json
import sys

from cloudcoil.models.istio.networking import v1 as networking
from cloudcoil.models.istio.security import v1 as security

GROUPS = {"networking.istio.io/v1": networking, "security.istio.io/v1": security}

checked, wrong = 0, []
for item in json.load(sys.stdin):
    if "istio.io/" not in item["apiVersion"]:
        continue
    kind, name = item["kind"], item["metadata"]["name"]
    model = getattr(GROUPS.get(item["apiVersion"]), kind, None)
    if model is None:
        wrong.append(f"{kind} {name}: {item['apiVersion']} has no such kind")
        continue
    try:
        model.model_validate(item, extra="forbid")
        checked += 1
    except ValueError as error:
        wrong.append(f"{kind} {name}: {error}")

print(f"{checked} Istio objects are valid", *wrong, sep="\n")
sys.exit(1 if wrong or not checked else 0)
