#!/usr/bin/env bash
# lint.sh FOLDER: lints a copy of the package for n8n by n8n's own tools, from an installation that install.sh made.
set -euo pipefail

copy=$1/lint
rm -rf "$copy"
cp -r "$(dirname "$0")/../../clients/n8n" "$copy"
ln -s ../tools/node_modules "$copy/node_modules"
cd "$copy"
node_modules/.bin/tsc --noEmit
node_modules/.bin/n8n-node lint
