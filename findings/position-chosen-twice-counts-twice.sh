#!/usr/bin/env bash
# Expected: BYSETPOS=1,-1 selects the first and the last date of each set. Where a set has one date, that date is both, and the
#           event takes place once: a recurrence set contains a date once. "FREQ=MONTHLY;BYMONTHDAY=30,31;BYSETPOS=1,-1" is
#           30 and 31 March, 30 April, 30 and 31 May.
# Seen:     rrule gives 30 April twice, and COUNT counts both, so the series also ends earlier. rrule-go gives it once.
# Versions: rrule 2.8.1 (npm), github.com/teambition/rrule-go v1.8.2.
# Source:   RFC 5545 section 3.3.10, "BYSETPOS", and section 3.8.5.1, by which a recurrence set has duplicate instances once; the
#           output below was seen by running this file.
set -euo pipefail
folder=$(mktemp -d); trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT; cd "$folder"
echo '{"type": "module", "private": true}' > package.json
npm install --silent --ignore-scripts --no-audit --no-fund rrule@2.8.1
go mod init example/expand >/dev/null 2>&1
GOFLAGS=-mod=mod go get github.com/teambition/rrule-go@v1.8.2 >/dev/null 2>&1
cat > expand.mjs <<'P'
import rrule from 'rrule'

const dates = rrule.rrulestr('DTSTART:20260330T090000Z\nRRULE:FREQ=MONTHLY;BYMONTHDAY=30,31;BYSETPOS=1,-1;COUNT=6').all()
console.log('rrule   ', dates.map((date) => date.toISOString().slice(5, 10)).join(' '))
P
cat > main.go <<'P'
package main

import (
	"fmt"

	"github.com/teambition/rrule-go"
)

func main() {
	rule, err := rrule.StrToRRule("DTSTART:20260330T090000Z\nRRULE:FREQ=MONTHLY;BYMONTHDAY=30,31;BYSETPOS=1,-1;COUNT=6")
	if err != nil {
		panic(err)
	}
	fmt.Print("rrule-go")
	for _, date := range rule.All() {
		fmt.Print(" ", date.Format("01-02"))
	}
	fmt.Println()
}
P
{ node expand.mjs; go run .; } | tee seen
diff -u - seen <<'O'
rrule    03-30 03-31 04-30 04-30 05-30 05-31
rrule-go 03-30 03-31 04-30 05-30 05-31 06-30
O
