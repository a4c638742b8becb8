#!/usr/bin/env bash
# Expected: a POST whose body is JSON and no Request object of JSON-RPC gets the error -32600 (Invalid Request), and one
#           short sentence as its message, in both eras of the Model Context Protocol.
# Seen:     with an MCP-Protocol-Version of 2026-07-28 it does. With 2025-11-25 the server of the Python SDK answers -32602
#           (Invalid params), and its message is the report of pydantic: the names of the SDK's models, the input, and the
#           address of pydantic's documentation.
# Versions: mcp 2.3.0 (PyPI).
# Source:   JSON-RPC 2.0, section 5.1; the output below was seen by running this file.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv v; v/bin/pip install --quiet --disable-pip-version-check mcp==2.3.0
cat > seen.py <<'P'
import json, logging, re, socket, threading, time, urllib.error, urllib.request
import uvicorn
from mcp.server.lowlevel import Server
logging.disable(logging.CRITICAL)
app = Server("x").streamable_http_app(streamable_http_path="/mcp", stateless_http=True, json_response=True)
place = socket.socket(); place.bind(("127.0.0.1", 0)); port = place.getsockname()[1]
server = uvicorn.Server(uvicorn.Config(app, log_config=None))
serving = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True); serving.start()
while not server.started: time.sleep(0.05)
for version in ("2026-07-28", "2025-11-25"):
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream", "mcp-protocol-version": version}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/mcp", b'{"jsonrpc": "2.0", "method": 7777}', headers)
    try: urllib.request.urlopen(request)
    except urllib.error.HTTPError as answer: error = json.load(answer)["error"]
    found = [word for word in ("JSONRPCRequest", "input_value=7777", "errors.pydantic.dev") if word in error["message"]]
    print(version, error["code"], " ".join(found) or error["message"])
server.should_exit = True; serving.join()
P
v/bin/python seen.py | tee seen
diff -u - seen <<'O'
2026-07-28 -32600 Body must be a single JSON-RPC request or notification object
2025-11-25 -32602 JSONRPCRequest input_value=7777 errors.pydantic.dev
O
