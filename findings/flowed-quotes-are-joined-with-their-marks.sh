#!/usr/bin/env bash
# Expected: a reader of format=flowed takes the quote marks off before it joins lines, and joins lines of one quote depth only. "> a " and
#           "> b" become "> a b"; ">> a " and "> b" stay two lines.
# Seen:     postal-mime joins the lines as they are: the mark of the second line stands inside the sentence, and what two people wrote
#           becomes one line with the depth of the first. A program that splits quotes from the answer, by the marks at the beginnings
#           of lines, then counts one person's words as another's. mailparser joins as expected.
# Versions: postal-mime 4.0.0, mailparser 3.14.2 (npm).
# Source:   RFC 3676 section 4.1 (quote marks are counted and deleted before a line is flowed) and section 4.5 (a change of the quote
#           depth ends a paragraph); the output below was seen by running this file.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
echo '{"type": "module", "private": true}' > package.json
npm install --silent --ignore-scripts --no-audit --no-fund postal-mime@4.0.0 mailparser@3.14.2
cat > read.mjs <<'P'
import { simpleParser } from 'mailparser'
import PostalMime from 'postal-mime'

const texts = {
  'one depth': ['> The first line of the question ', '> goes on here.', 'Yes.'],
  'two depths': ['>> Shall we meet ', '> No.', 'Why not?'],
}
for (const [name, lines] of Object.entries(texts)) {
  const head = ['From: a@example.com', 'MIME-Version: 1.0', 'Content-Type: text/plain; charset=utf-8; format=flowed', '']
  const raw = Buffer.from([...head, ...lines, ''].join('\r\n'))
  console.log(`${name}: postal-mime ${JSON.stringify((await PostalMime.parse(raw)).text.trim())}`)
  console.log(`${name}: mailparser  ${JSON.stringify((await simpleParser(raw)).text.trim())}`)
}
P
node read.mjs | tee seen
diff -u - seen <<'O'
one depth: postal-mime "> The first line of the question > goes on here.\nYes."
one depth: mailparser  "> The first line of the question goes on here.\nYes."
two depths: postal-mime ">> Shall we meet > No.\nWhy not?"
two depths: mailparser  ">> Shall we meet \n> No.\nWhy not?"
O
