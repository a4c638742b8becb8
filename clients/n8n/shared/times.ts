// Times of a form, which n8n gives without a zone.

const LOCAL = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?))?$/;

/**
 * Returns the instant of a form's time in RFC 3339, or undefined for text that is no time.
 *
 * @param value A time with an offset, a date of JavaScript or of Luxon, or a time without an offset.
 * @param zone The time zone of a value without an offset, in IANA's names.
 */
export function instantOf(value: unknown, zone: string): string | undefined {
	const text = value instanceof Date ? value.getTime() : String(value).trim();
	const local = LOCAL.exec(String(text));
	const at = local ? localInstant(`${local[1]}T${local[2] ?? '00:00'}Z`, zone) : new Date(text).getTime();
	return Number.isNaN(at) ? undefined : new Date(at).toISOString();
}

// The offset is that of the instant sought, so the first guess, which has the offset of another instant, is corrected once.
function localInstant(wall: string, zone: string): number {
	const asUtc = Date.parse(wall);
	if (Number.isNaN(asUtc)) return asUtc;
	return asUtc - offsetAt(asUtc - offsetAt(asUtc, zone), zone);
}

// The Swedish form of a time is that of ISO 8601.
function offsetAt(at: number, zone: string): number {
	const second = Math.floor(at / 1000) * 1000;
	return Date.parse(`${new Date(second).toLocaleString('sv-SE', { timeZone: zone }).replace(' ', 'T')}Z`) - second;
}
