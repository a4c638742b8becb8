// Text from outside: mail, names and answers of strangers. React escapes markup; these make the rest harmless.
import { timestampDate, timestampFromMs, type Timestamp } from "@bufbuild/protobuf/wkt";

// Controls, marks that turn the direction of what follows, and characters without a shape.
const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\u{e0000}-\u{e007f}]/gu;

export function plain(text: string, most: number): string {
  const cut = text.length > most ? `${text.slice(0, most)}… (${text.length.toLocaleString("en")} characters)` : text;
  return cut.replace(HIDDEN, "\ufffd");
}

export function absolute(at: Date): string {
  return at.toISOString().replace("T", " ").replace(/\.\d+Z$/, " UTC");
}

const STEPS: [number, Intl.RelativeTimeFormatUnit][] = [[86_400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];
const relativeFormat = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });

export function relative(at: Date, now: number): string {
  const seconds = Math.round((at.getTime() - now) / 1000);
  const [size, unit] = STEPS.find(([step]) => Math.abs(seconds) >= step) ?? [1, "second"];
  return relativeFormat.format(Math.trunc(seconds / size), unit);
}

export function dateOf(at: Timestamp | undefined): Date | undefined {
  return at && timestampDate(at);
}

// The time at which an id was made: mailmesh's ids are UUIDs of version 7, whose first 48 bits are milliseconds (RFC 9562).
export function madeAt(id: string): Timestamp | undefined {
  const found = /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-/i.exec(id);
  return found ? timestampFromMs(Number.parseInt(`${found[1]}${found[2]}`, 16)) : undefined;
}

export function word(value: string): string {
  return value.toLowerCase().replaceAll("_", " ");
}

// The word of an enum's value: `TENANT_STATUS_ACTIVE` is 1, its word "active".
export function enumWord(names: Record<number, string>, value: number): string {
  return word(names[value] ?? String(value));
}
