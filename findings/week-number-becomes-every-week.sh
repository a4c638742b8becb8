#!/usr/bin/env bash
# Expected: "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO" is the Monday of week 20 of each year: 12 May 1997, 11 May 1998, 17 May 1999. The
#           rule and its dates are an example of RFC 5545.
# Seen:     ical.js leaves out the right Monday, then gives the Monday of every week: a meeting once a year fills the calendar.
#           There is no error. The same rule without BYDAY gives no date at all. rrule-temporal gives the expected Mondays.
# Versions: ical.js 2.2.1, rrule-temporal 2.2.8, temporal-polyfill 1.0.8 (npm).
# Source:   RFC 5545 section 3.8.5.3, "Monday of week number 20"; the output below was seen by running this file.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
echo '{"type": "module", "private": true}' > package.json
npm install --silent --ignore-scripts --no-audit --no-fund ical.js@2.2.1 rrule-temporal@2.2.8 temporal-polyfill@1.0.8
cat > expand.mjs <<'P'
import 'temporal-polyfill/global'
import ICAL from 'ical.js'
import { RRuleTemporal } from 'rrule-temporal'

const RULE = 'FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO'
const first = '1997-05-12T09:00:00'

function byIcal(rule) {
  const dates = ICAL.Recur.fromString(rule).iterator(ICAL.Time.fromString(first))
  const seen = []
  for (let date = dates.next(); date && seen.length < 4; date = dates.next()) seen.push(date.toString().slice(0, 10))
  return seen.join(' ') || 'none'
}

function byTemporal(rule) {
  const dates = new RRuleTemporal({ rruleString: `DTSTART;TZID=UTC:19970512T090000\nRRULE:${rule};COUNT=4` }).all()
  return dates.map((date) => date.toString().slice(0, 10)).join(' ')
}

console.log('ical.js       ', byIcal(RULE))
console.log('rrule-temporal', byTemporal(RULE))
console.log('ical.js, no BYDAY', byIcal('FREQ=YEARLY;BYWEEKNO=20'))
P
node expand.mjs | tee seen
diff -u - seen <<'O'
ical.js        1997-05-19 1997-05-26 1997-06-02 1997-06-09
rrule-temporal 1997-05-12 1998-05-11 1999-05-17 2000-05-15
ical.js, no BYDAY none
O
