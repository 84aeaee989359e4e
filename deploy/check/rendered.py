"""Prints the objects of an overlay as one JSON list: rendered.py OVERLAY"""

import json
import subprocess
import sys
from pathlib import Path

import yaml

overlay = Path(__file__).parent.parent / "kubernetes" / "overlays" / sys.argv[1]
text = subprocess.run(["kubectl", "kustomize", overlay], check=True, stdout=subprocess.PIPE).stdout
json.dump(list(yaml.safe_load_all(text)), sys.stdout)
