// The endpoint of a trigger: one for each address, found by the address and never by memory alone.

import type { IDataObject } from 'n8n-workflow';

import { allPages, call, callOr, type Caller } from './rest';

const PATH = '/v1/endpoints';
const SIGNATURE = 'ENDPOINT_SIGNATURE_V1A';
const STOPPED = new Set(['ENDPOINT_STATE_PAUSED', 'ENDPOINT_STATE_DISABLED', 'ENDPOINT_STATE_GONE']);
const GONE = new Set(['ENDPOINT_NOT_FOUND']);
const MOST_ENDPOINTS = 100;

/** How events are delivered to a trigger. */
export interface Wish {
	displayName: string;
	tenantIds: string[];
	eventTypes: string[];
	view: string;
	concurrency: number;
	timeoutSeconds: number;
}

/** An endpoint, as far as a trigger needs it. */
export interface Endpoint {
	endpointId: string;
	publicKey: string;
	isStopped: boolean;
	isAsWished: boolean;
}

/**
 * Returns the endpoint of an address, or undefined if mailmesh has none.
 *
 * @throws NodeApiError when mailmesh cannot be asked: "unknown" must not be taken for "absent".
 */
export async function findEndpoint(caller: Caller, url: string, wish?: Wish): Promise<Endpoint | undefined> {
	const listed = await allPages(caller, { method: 'GET', path: PATH, query: { url } }, 'endpoints', MOST_ENDPOINTS);
	const found = listed.find((endpoint) => endpoint.url === url && endpoint.signature === SIGNATURE);
	return found && read(found, wish);
}

/** Creates the endpoint of an address, or makes the existing one as it should be. Safe to call again. */
export async function ensureEndpoint(caller: Caller, url: string, wish: Wish): Promise<Endpoint> {
	const found = await findEndpoint(caller, url, wish);
	if (!found) return await create(caller, url, wish);
	const path = `${PATH}/${found.endpointId}`;
	if (!found.isAsWished) {
		const updateMask = 'displayName,filter,view,timeout,concurrency';
		await call(caller, { method: 'PATCH', path, body: { ...asBody(wish), updateMask } });
	}
	if (found.isStopped) await call(caller, { method: 'POST', path: `${path}:resume`, body: {} });
	return { ...found, isStopped: false, isAsWished: true };
}

/** Deletes the endpoint of an address. An endpoint that is gone already counts as deleted. */
export async function deleteEndpoint(caller: Caller, url: string): Promise<void> {
	const found = await findEndpoint(caller, url);
	if (found) await callOr(caller, { method: 'DELETE', path: `${PATH}/${found.endpointId}` }, GONE);
}

/** Stops delivery to the endpoint of an address; mailmesh keeps its place in the stream. */
export async function pauseEndpoint(caller: Caller, url: string): Promise<void> {
	const found = await findEndpoint(caller, url);
	if (found) await callOr(caller, { method: 'POST', path: `${PATH}/${found.endpointId}:pause`, body: {} }, GONE);
}

async function create(caller: Caller, url: string, wish: Wish): Promise<Endpoint> {
	const answer = await call(caller, { method: 'POST', path: PATH, body: { url, signature: SIGNATURE, ...asBody(wish) } });
	return read(answer.endpoint as IDataObject, wish);
}

function asBody(wish: Wish): IDataObject {
	const { displayName, tenantIds, eventTypes, view, concurrency, timeoutSeconds } = wish;
	return { displayName, filter: { tenantIds, eventTypes }, view, concurrency, timeout: `${timeoutSeconds}s` };
}

function read(endpoint: IDataObject, wish?: Wish): Endpoint {
	return {
		endpointId: String(endpoint.endpointId),
		publicKey: String(endpoint.publicKey),
		isStopped: STOPPED.has(String(endpoint.state)),
		isAsWished: wish === undefined || isAsWished(endpoint, wish),
	};
}

function isAsWished(endpoint: IDataObject, wish: Wish): boolean {
	const filter = (endpoint.filter ?? {}) as IDataObject;
	return (
		endpoint.displayName === wish.displayName &&
		endpoint.view === wish.view &&
		endpoint.concurrency === wish.concurrency &&
		seconds(endpoint.timeout) === wish.timeoutSeconds &&
		isSame(filter.tenantIds, wish.tenantIds) &&
		isSame(filter.eventTypes, wish.eventTypes)
	);
}

const seconds = (duration: unknown): number => Number(String(duration).replace(/s$/, ''));

const isSame = (left: unknown, right: string[]): boolean =>
	JSON.stringify([...((left ?? []) as string[])].sort()) === JSON.stringify([...right].sort());
