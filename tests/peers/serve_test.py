"""Starts `garam serve` and talks to it with tritonclient, the Open Inference Protocol's own client."""

import re
import subprocess
import sys
import os

from common import GARAM, garam, garam_json, path

garam("simulate", "--rows", 2000, "--seed", 3, "--out", path("m.csv"))
garam("train", path("m.csv"), "--model", "transformer", "--preset", "tiny", "--epochs", 1, "--out", path("m.safetensors"),
      "--quiet")
server = subprocess.Popen([GARAM, "serve", path("m.safetensors"), "--port", "0"], stderr=subprocess.PIPE, text=True)
try:
    url = None
    while url is None:
        line = server.stderr.readline()
        if not line:
            sys.exit("the server stopped before it was ready")
        found = re.search(r"http://([0-9.]+:\d+)", line)
        url = found and found.group(1)
    here = os.path.dirname(os.path.abspath(__file__))
    status = subprocess.run([sys.executable, os.path.join(here, "oip_client.py"), url, "m", "--classes", "3"]).returncode
finally:
    server.terminate()
    left = server.wait(timeout=20)
if left != 0:
    sys.exit(f"the server's exit after SIGTERM is {left}")
sys.exit(status)
