#!/usr/bin/env bash
# Expected: a client generated from OpenAPI calls POST /v1/boxes/{boxId}:seal, a custom method in the manner of AIP-136, by
#           a function of the box's id. OpenAPI knows path templates in braces alone; a colon is a literal.
# Seen:     swagger-typescript-api takes ":seal" for a path variable in the style of Express. The function has a second,
#           required parameter "seal", nothing puts the colon into the address, and the caller has to pass ":seal".
#           oapi-codegen reads the same document as meant.
# Versions: swagger-typescript-api 13.13.0 (npm), github.com/oapi-codegen/oapi-codegen/v2 v2.8.2.
# Source:   OpenAPI 3.0.3, section "Path Templating"; AIP-136; the output below was seen by running this file.
set -euo pipefail
folder=$(mktemp -d); trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT; cd "$folder"
cat > openapi.yaml <<'Y'
openapi: 3.0.3
info: {title: boxes, version: v1}
paths:
  /v1/boxes/{boxId}:seal:
    post:
      operationId: sealBox
      parameters: [{name: boxId, in: path, required: true, schema: {type: string}}]
      responses: {"204": {description: sealed}}
Y
npm init -y >/dev/null
npm install --ignore-scripts --no-audit --no-fund --loglevel=error swagger-typescript-api@13.13.0 >/dev/null
npx swagger-typescript-api generate -p openapi.yaml -o . -n api.ts >/dev/null 2>&1
{ echo "== swagger-typescript-api"; tr -d '\n' < api.ts | grep -oE 'sealBox: \([^)]*\)' | tr -s ' '
  grep -oE 'path: `[^`]*`' api.ts; } | tee -a seen
GOFLAGS=-mod=mod go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 \
  -generate types,client -package boxes -o boxes.go openapi.yaml 2>/dev/null
{ echo "== oapi-codegen"; grep -oE 'func NewSealBoxRequest\([^)]*\)' boxes.go; grep -oE 'Sprintf\("/v1[^"]*"' boxes.go; } | tee -a seen
diff -u - seen <<'O'
== swagger-typescript-api
sealBox: (boxId: string, seal: string, params: RequestParams = {})
path: `/v1/boxes/${boxId}${seal}`
== oapi-codegen
func NewSealBoxRequest(server string, boxId string)
Sprintf("/v1/boxes/%s:seal"
O
