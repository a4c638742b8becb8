// Verifies webhooks of mailmesh: Standard Webhooks, version v1a, whose key is public.

import { createPublicKey, verify } from 'crypto';

const TOLERANCE_SECONDS = 300;
const WEBHOOK_ID = /^[A-Za-z0-9_-]{1,128}$/;
const TIMESTAMP = /^[1-9][0-9]{0,11}$/;
const PUBLIC_KEY = /^whpk_[A-Za-z0-9+/]{43}=$/;
const SIGNATURE = /^v1a,([A-Za-z0-9+/]{86}==)$/;
const MOST_CHARACTERS = 4096;
// The ASN.1 in front of the 32 bytes of an Ed25519 public key (RFC 8410), which Node asks for.
const ED25519_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

export type Outcome = 'accepted' | 'header_missing' | 'header_invalid' | 'too_old' | 'too_new' | 'signature_wrong';

/**
 * Returns the refusal of a webhook, or "accepted".
 *
 * @param key The endpoint's public key, `whpk_...`.
 * @param headers The request's headers, names in lower case.
 * @param body The bytes as received, before any parsing.
 * @param now Seconds since 1970.
 */
export function verifyWebhook(
	key: string,
	headers: Readonly<Record<string, unknown>>,
	body: Uint8Array,
	now: number = Date.now() / 1000,
): Outcome {
	const [id, timestamp, signatures] = ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((name) => headers[name]);
	if (typeof id !== 'string' || typeof timestamp !== 'string' || typeof signatures !== 'string') return 'header_missing';
	if (!id || !timestamp || !signatures) return 'header_missing';
	if (!WEBHOOK_ID.test(id) || !TIMESTAMP.test(timestamp) || signatures.length > MOST_CHARACTERS) return 'header_invalid';
	const age = now - Number(timestamp);
	if (Math.abs(age) > TOLERANCE_SECONDS) return age > 0 ? 'too_old' : 'too_new';
	const content = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]);
	return signatures.split(' ').some((entry) => matches(key, entry, content)) ? 'accepted' : 'signature_wrong';
}

function matches(key: string, entry: string, content: Buffer): boolean {
	const signature = SIGNATURE.exec(entry)?.[1];
	if (signature === undefined || !PUBLIC_KEY.test(key)) return false;
	const encoded = Buffer.concat([ED25519_PREFIX, Buffer.from(key.slice(5), 'base64')]);
	const publicKey = createPublicKey({ key: encoded, format: 'der', type: 'spki' });
	return verify(null, content, publicKey, Buffer.from(signature, 'base64'));
}
