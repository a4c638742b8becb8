// Fields and content that both triggers share.

import type { IDataObject, INodeProperties } from 'n8n-workflow';

export const EVENT_TYPES: INodeProperties = {
	displayName: 'Event Types',
	name: 'eventTypes',
	type: 'string',
	default: 'mail.created',
	description: 'Comma-separated types, such as "mail.created" or "send.*". Empty means all that mailmesh offers here.',
};

export const TENANTS: INodeProperties = {
	displayName: 'Account IDs',
	name: 'tenantIds',
	type: 'string',
	default: '',
	description: 'Comma-separated IDs of connected accounts. Empty means all that the API key may see.',
};

const KINDS = ['mail', 'tenant', 'send', 'calendarEvent', 'conversation', 'endpoint', 'workflow'];

/** Returns an event of the stream in the form that webhooks have: its type and its content in one object. */
export function flat(event: IDataObject): IDataObject {
	const kind = KINDS.find((name) => event[name] !== undefined);
	const content = (kind === undefined ? event : event[kind]) as IDataObject;
	return { type: content.eventType, timestamp: content.receivedAt, ...content };
}
