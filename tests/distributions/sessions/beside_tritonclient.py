"""A session of tritonclient and our client in one process. Prints JSON.

Usage: beside_tritonclient.py ADDRESS, of a router that serves version 1 of the model "fraud".
"""

import json
import sys

import tritonclient.grpc as triton

from understudy.client import ScoringClient

address = sys.argv[1]
with triton.InferenceServerClient(address) as other, ScoringClient(address, timeout_s=30.0) as ours:
    live = other.is_server_live()
    version = ours.score("fraud", {"user": "u1"}).served_by.version
json.dump({"live": live, "version": version}, sys.stdout)
