// Takes one webhook: verifies it, drops repetitions, and hands the event to the workflow.

import type { IDataObject, IWebhookFunctions, IWebhookResponseData } from 'n8n-workflow';

import { findEndpoint } from './endpoints';
import { Seen, withId } from './seen';
import { verifyWebhook, type Outcome } from './webhooks';

const OK = 200;
const UNAUTHORIZED = 401;
const BUSY = 503;
const BUSY_SECONDS = 10;
const KEY_LIFE_MS = 60_000;
const MOST_TRIGGERS = 1_000;
const TEST_TYPE = 'endpoint.test';

interface Memory {
	seen: Seen;
	publicKey: string;
	keyReadAt: number;
}

interface Stored {
	publicKey?: string;
	eventIds?: string[];
}

// By workflow, node and manner of running, for the life of the process.
const memories = new Map<string, Memory>();

/** Verifies a webhook and returns the answer to it, with the event unless it is a repetition or a test. */
export async function receive(hook: IWebhookFunctions): Promise<IWebhookResponseData> {
	const body = bodyOf(hook);
	const stored = hook.getWorkflowStaticData('node') as Stored;
	const memory = memoryOf(hook);
	if ((await outcomeOf(hook, memory, stored, body)) !== 'accepted') return answer(hook, UNAUTHORIZED);
	const { type, timestamp, data } = JSON.parse(body.toString('utf8')) as IDataObject;
	if (type === TEST_TYPE) return answer(hook, OK);
	return take(hook, memory, stored, { type, timestamp, ...(data as IDataObject) });
}

function take(hook: IWebhookFunctions, { seen }: Memory, stored: Stored, event: IDataObject): IWebhookResponseData {
	const eventId = String(hook.getHeaderData()['webhook-id']);
	const state = seen.stateOf(eventId, stored.eventIds);
	if (state === 'done') return answer(hook, OK);
	if (state === 'running') return answer(hook, BUSY, { 'retry-after': String(BUSY_SECONDS) });
	if (hook.getNodeParameter('respond') === 'onReceived') {
		seen.note(eventId, 'done');
		stored.eventIds = withId(stored.eventIds ?? [], eventId);
	} else {
		noteUntilAnswered(hook, seen, eventId);
	}
	return { workflowData: [[{ json: event }]] };
}

// n8n answers when the workflow has ended: with 200, or with 500 if it failed. An answer that cannot be sent any more says
// nothing about the workflow, so that the next attempt runs it again.
function noteUntilAnswered(hook: IWebhookFunctions, seen: Seen, eventId: string): void {
	const response = hook.getResponseObject();
	seen.note(eventId, 'running');
	response.once('finish', () => {
		if (response.statusCode === OK) seen.note(eventId, 'done');
		else seen.forget(eventId);
	});
	response.once('close', () => {
		if (!response.writableFinished) seen.forget(eventId);
	});
}

function bodyOf(hook: IWebhookFunctions): Buffer {
	const { rawBody } = hook.getRequestObject() as unknown as { rawBody?: Buffer };
	return rawBody ?? Buffer.alloc(0);
}

async function outcomeOf(hook: IWebhookFunctions, memory: Memory, stored: Stored, body: Buffer): Promise<Outcome> {
	const headers = hook.getHeaderData();
	const known = memory.publicKey || String(stored.publicKey ?? '');
	const outcome = verifyWebhook(known, headers, body);
	if (outcome !== 'signature_wrong' || !(await readKey(hook, memory))) return outcome;
	return verifyWebhook(memory.publicKey, headers, body);
}

// A key that was rotated, or that a copied or restored workflow lacks, is read from mailmesh, at most once a minute.
async function readKey(hook: IWebhookFunctions, memory: Memory): Promise<boolean> {
	if (Date.now() - memory.keyReadAt < KEY_LIFE_MS) return false;
	memory.keyReadAt = Date.now();
	const url = hook.getNodeWebhookUrl('default');
	const endpoint = url === undefined ? undefined : await findEndpoint(hook, url);
	if (endpoint === undefined) return false;
	memory.publicKey = endpoint.publicKey;
	return true;
}

function memoryOf(hook: IWebhookFunctions): Memory {
	const name = JSON.stringify([hook.getWorkflow().id, hook.getNode().id, hook.getMode()]);
	const found = memories.get(name) ?? { seen: new Seen(), publicKey: '', keyReadAt: 0 };
	memories.delete(name);
	memories.set(name, found);
	const oldest = memories.keys().next();
	if (memories.size > MOST_TRIGGERS && !oldest.done) memories.delete(oldest.value);
	return found;
}

function answer(hook: IWebhookFunctions, status: number, headers: Record<string, string> = {}): IWebhookResponseData {
	const response = hook.getResponseObject();
	for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
	response.status(status).json({});
	return { noWebhookResponse: true };
}
