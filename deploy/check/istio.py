"""Says what is wrong with the objects of Istio in a list of objects (JSON) that it reads.

Ends with 1 if something is, or if there is none of them. A field that Istio does not know counts.
"""

import json
import sys

from cloudcoil.models.istio.networking import v1 as networking
from cloudcoil.models.istio.security import v1 as security

GROUPS = {"networking.istio.io/v1": networking, "security.istio.io/v1": security}

checked, wrong = 0, []
for thing in json.load(sys.stdin):
    if "istio.io/" not in thing["apiVersion"]:
        continue
    kind, name = thing["kind"], thing["metadata"]["name"]
    model = getattr(GROUPS.get(thing["apiVersion"]), kind, None)
    if model is None:
        wrong.append(f"{kind} {name}: {thing['apiVersion']} has no such kind")
        continue
    try:
        model.model_validate(thing, extra="forbid")
        checked += 1
    except ValueError as error:
        wrong.append(f"{kind} {name}: {error}")

print(f"{checked} objects of Istio are well-formed", *wrong, sep="\n")
sys.exit(1 if wrong or not checked else 0)
