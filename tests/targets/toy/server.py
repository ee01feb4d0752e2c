"""Serve what a record holds: `python -m targets.toy.server RECORD`."""

import http.server
import json
import sys
from pathlib import Path
from typing import Any

from serving.probing.golden_check import model_path

RECORD = json.loads(Path(sys.argv[1]).read_text())
ANSWERS: dict[str, Any] = {"/v2/health/ready": None}
for model in RECORD["models"]:
    ANSWERS[model_path(model)] = {"inputs": model["inputs"], "outputs": model["outputs"]}
    ANSWERS[f"{model_path(model)}/ready"] = None
    ANSWERS[f"{model_path(model)}/infer"] = (model["golden"] or {}).get("response")


class Handler(http.server.BaseHTTPRequestHandler):
    """Answer from memory whoever has a key."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        known = self.headers.get("Authorization") in [f"Bearer {key}" for key in RECORD["keys"]]
        self.send_response(401 if not known else 200 if self.path in ANSWERS else 404)
        self.send_header("content-type", "application/json")
        self.end_headers()
        answer = ANSWERS.get(self.path)
        self.wfile.write(b"" if answer is None else json.dumps(answer).encode())

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


http.server.ThreadingHTTPServer(("127.0.0.1", RECORD["port"]), Handler).serve_forever()
