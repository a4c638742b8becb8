#!/usr/bin/env bash
# Expected: BYSETPOS=-1 selects the last of the days that BYMONTHDAY leaves in each month: "FREQ=MONTHLY;BYMONTHDAY=28,29,30;
#           BYSETPOS=-1" is 30 January, 29 February and 30 March 2024. A calendar writes "the 30th, or the last day of a
#           shorter month" so.
# Seen:     ical.js ignores BYSETPOS beside BYMONTHDAY, in monthly and in yearly rules, and gives every one of the days. It
#           obeys BYSETPOS beside BYDAY. rrule-temporal gives the expected days.
# Versions: ical.js 2.2.1, rrule-temporal 2.2.8, temporal-polyfill 1.0.8.
# Source:   RFC 5545 section 3.3.10, "BYSETPOS": it "corresponds to the nth occurrence within the set of recurrence instances
#           specified by the recurrence rule"; the output below was seen by running this file.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
echo '{"type": "module", "private": true}' > package.json
npm install --silent --ignore-scripts --no-audit --no-fund ical.js@2.2.1 rrule-temporal@2.2.8 temporal-polyfill@1.0.8
cat > expand.mjs <<'P'
import ICAL from "ical.js";
import { RRuleTemporal } from "rrule-temporal";

const rules = [
  "FREQ=MONTHLY;BYMONTHDAY=28,29,30;BYSETPOS=-1;COUNT=3",
  "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=28,29;BYSETPOS=-1;COUNT=3",
  "FREQ=MONTHLY;BYDAY=TU,TH;BYSETPOS=-1;COUNT=3",
];
for (const rule of rules) {
  console.log(rule);
  const iterator = ICAL.Recur.fromString(rule).iterator(ICAL.Time.fromString("2024-01-30T09:00:00"));
  const days = [];
  for (let one = iterator.next(); one; one = iterator.next()) days.push(one.toString().slice(0, 10));
  console.log("  ical.js:", ...days);
  const other = new RRuleTemporal({ rruleString: `DTSTART:20240130T090000\nRRULE:${rule}` });
  console.log("  rrule-temporal:", ...other.all().map((one) => one.toString().slice(0, 10)));
}
P
node expand.mjs | tee seen
diff -u - seen <<'O'
FREQ=MONTHLY;BYMONTHDAY=28,29,30;BYSETPOS=-1;COUNT=3
  ical.js: 2024-01-30 2024-02-28 2024-02-29
  rrule-temporal: 2024-01-30 2024-02-29 2024-03-30
FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=28,29;BYSETPOS=-1;COUNT=3
  ical.js: 2024-02-28 2024-02-29 2025-02-28
  rrule-temporal: 2024-02-29 2025-02-28 2026-02-28
FREQ=MONTHLY;BYDAY=TU,TH;BYSETPOS=-1;COUNT=3
  ical.js: 2024-01-30 2024-02-29 2024-03-28
  rrule-temporal: 2024-01-30 2024-02-29 2024-03-28
O
