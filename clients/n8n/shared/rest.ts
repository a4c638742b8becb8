// Calls of mailmesh's REST interface, with the credentials of the node.

import type {
	IDataObject,
	IExecuteFunctions,
	IHookFunctions,
	IHttpRequestMethods,
	IHttpRequestOptions,
	ILoadOptionsFunctions,
	IPollFunctions,
	IWebhookFunctions,
	JsonObject,
} from 'n8n-workflow';
import { NodeApiError, jsonParse } from 'n8n-workflow';

export const CREDENTIALS = 'mailmeshApi';
const TIMEOUT_MS = 60_000;
// NodeApiError keeps text alone; what mailmesh said stays here beside it.
const failures = new WeakMap<object, Failure>();

export type Caller = IExecuteFunctions | IHookFunctions | ILoadOptionsFunctions | IPollFunctions | IWebhookFunctions;

/** A call: a path below the address of mailmesh, and its query or body. */
export interface Call {
	method: IHttpRequestMethods;
	path: string;
	query?: IDataObject;
	body?: IDataObject;
}

/** The failure of a call: its HTTP status, mailmesh's reason and what mailmesh says beside it. */
export interface Failure {
	status: number;
	reason: string;
	message: string;
	metadata: Record<string, string>;
}

/**
 * Performs a call and returns the JSON of the answer.
 *
 * @throws NodeApiError with mailmesh's reason in its message. n8n repeats such a node as its settings say.
 */
export async function call(caller: Caller, request: Call): Promise<IDataObject> {
	return (await send(caller, { ...options(request), json: true })) as IDataObject;
}

/** Performs a call whose answer is bytes, and returns them. */
export async function bytes(caller: Caller, request: Call): Promise<Buffer> {
	const answer = await send(caller, { ...options(request), encoding: 'arraybuffer', json: false });
	return Buffer.from(answer as ArrayBuffer);
}

/** Performs a call, and returns the reason instead of an answer where it is an expected one. */
export async function callOr(
	caller: Caller,
	request: Call,
	expected: ReadonlySet<string> = new Set(),
): Promise<{ answer?: IDataObject; reason: string }> {
	try {
		return { answer: await call(caller, request), reason: '' };
	} catch (error) {
		const { reason } = failureOf(error);
		if (!expected.has(reason)) throw asNodeError(caller, error);
		return { reason };
	}
}

/** Returns the items of all pages, at most as many as asked for. */
export async function allPages(caller: Caller, request: Call, list: string, most: number): Promise<IDataObject[]> {
	const found: IDataObject[] = [];
	let token = '';
	do {
		const query = { ...(request.method === 'GET' ? request.query : {}), ...page(token, most - found.length) };
		const answer = await call(
			caller,
			request.method === 'GET' ? { ...request, query } : { ...request, body: { ...request.body, ...query } },
		);
		found.push(...((answer[list] ?? []) as IDataObject[]));
		token = String(answer.nextPageToken ?? '');
	} while (token !== '' && found.length < most);
	return found.slice(0, most);
}

/** Returns what a failed call says. Anything that is no answer of mailmesh has status 0. */
export function failureOf(error: unknown): Failure {
	const known = failures.get(error as object);
	if (known) return known;
	const answer = answerOf(error as IDataObject);
	const details = Array.isArray(answer.details) ? (answer.details as IDataObject[]) : [];
	const info = details.find((detail) => typeof detail.reason === 'string');
	return {
		status: statusOf(error as IDataObject),
		reason: String(info?.reason ?? ''),
		message: String(answer.message ?? (error as Error).message),
		metadata: (info?.metadata ?? {}) as Record<string, string>,
	};
}

function page(token: string, missing: number): IDataObject {
	return { pageSize: Math.min(missing, 200), ...(token && { pageToken: token }) };
}

function options({ method, path, query, body }: Call): IHttpRequestOptions {
	return { method, url: path, timeout: TIMEOUT_MS, arrayFormat: 'repeat', ...(query && { qs: query }), ...(body && { body }) };
}

async function send(caller: Caller, request: IHttpRequestOptions): Promise<unknown> {
	const { baseUrl } = await caller.getCredentials<{ baseUrl: string }>(CREDENTIALS);
	const url = `${baseUrl.replace(/\/+$/, '')}${request.url}`;
	try {
		return await caller.helpers.httpRequestWithAuthentication.call(caller, CREDENTIALS, { ...request, url });
	} catch (error) {
		throw asNodeError(caller, error);
	}
}

// A failure is wrapped once; its reason stays readable in the message and in the cause.
function asNodeError(caller: Caller, error: unknown): NodeApiError {
	if (error instanceof NodeApiError && failures.has(error)) return error;
	const { reason, message, status } = failureOf(error);
	const text = reason ? `${reason}: ${message}` : message;
	const wrapped = new NodeApiError(caller.getNode(), error as JsonObject, {
		message: text,
		description: text,
		...(status > 0 && { httpCode: String(status) }),
	});
	failures.set(wrapped, failureOf(error));
	return wrapped;
}

// n8n wraps the failure of a request once or twice; the answer is in the innermost one.
function answerOf(error: IDataObject): IDataObject {
	for (const layer of layers(error)) {
		const data = (layer.response as IDataObject | undefined)?.data ?? (layer.context as IDataObject | undefined)?.data;
		const answer = readAnswer(data);
		if (answer) return answer;
	}
	return {};
}

function statusOf(error: IDataObject): number {
	for (const layer of layers(error)) {
		const status = Number((layer.response as IDataObject | undefined)?.status ?? layer.httpCode ?? layer.status);
		if (Number.isInteger(status) && status > 0) return status;
	}
	return 0;
}

function layers(error: IDataObject): IDataObject[] {
	const found: IDataObject[] = [];
	for (let layer: unknown = error; layer && typeof layer === 'object' && found.length < 5; ) {
		found.push(layer as IDataObject);
		layer = (layer as IDataObject).cause ?? (layer as IDataObject).errorResponse;
	}
	return found;
}

// An answer that was asked for as bytes carries its failure as bytes too.
function readAnswer(data: unknown): IDataObject | undefined {
	const text = Buffer.isBuffer(data) || data instanceof ArrayBuffer ? Buffer.from(data as ArrayBuffer).toString() : data;
	if (typeof text === 'object' && text !== null) return text as IDataObject;
	return typeof text === 'string' && text.startsWith('{') ? jsonParse<IDataObject>(text, { fallbackValue: {} }) : undefined;
}
