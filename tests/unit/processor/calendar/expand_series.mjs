// Expands series of RFC 5545 by another implementation: rules over wall clocks by rrule-temporal, time zones by Temporal
// with the zone data of Node. One series a line in; its instances until two days after `until`, in UTC
// and in order, one line out.
//
// A wall clock that a change of the clocks leaves out counts, by the offset before the change (RFC 5545, section 3.3.5).
// With a TZID the library would drop such an instance (section 3.3.10), which a calendar must not do with a meeting.
import { createInterface } from "node:readline";
import { RRuleTemporal } from "rrule-temporal";
import { Temporal } from "temporal-polyfill";

// A wall clock may be later than the instant in UTC.
const SLACK_MILLISECONDS = 2 * 24 * 60 * 60 * 1000;
const wallClock = (text, zone) =>
  Temporal.Instant.from(text.replace(/^(\d{4})(\d\d)(\d\dT\d\d)(\d\d)(\d\dZ)$/, "$1-$2-$3:$4:$5"))
    .toZonedDateTimeISO(zone)
    .toPlainDateTime();
const compact = (clock) => clock.toString({ smallestUnit: "second" }).replace(/[-:]/g, "");

for await (const line of createInterface({ input: process.stdin })) {
  const { lines, overrides, zone, until } = JSON.parse(line);
  const floating = lines
    .join("\n")
    .replace(/;TZID=[^:]+/g, "")
    .replace(/UNTIL=(\d{8}T\d{6}Z)/, (_, end) => `UNTIL=${compact(wallClock(end, zone))}`);
  const rule = new RRuleTemporal({ rruleString: floating, maxIterations: 100_000 });
  const moved = new Set(overrides.map((one) => one.recurrenceId));
  const kept = rule
    .between(new Date(0), new Date(Date.parse(until) + SLACK_MILLISECONDS), true)
    .map((one) => one.toPlainDateTime())
    .filter((one) => !moved.has(one.toString({ smallestUnit: "second" })))
    .map((one) => Temporal.PlainDateTime.from(one.toString()).toZonedDateTime(zone).toInstant());
  const all = [...kept, ...overrides.map((one) => Temporal.Instant.from(one.start))];
  console.log(JSON.stringify(all.sort(Temporal.Instant.compare).map((one) => one.toString())));
}
