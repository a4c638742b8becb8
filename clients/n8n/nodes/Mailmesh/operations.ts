// The operations of the node as data: their calls of mailmesh, and the fields that fill them.

import type { IHttpRequestMethods, INodePropertyOptions, NodePropertyTypes } from 'n8n-workflow';

/** A field: where its value goes. Names with dots lead into the body. */
export interface Field {
	name: string;
	label: string;
	/** `binary` uploads fields of the item as attachments; `file` puts one into the body. */
	to: 'path' | 'query' | 'body' | 'binary' | 'file';
	as?: string;
	kind?: 'text' | 'list' | 'addresses' | 'flag' | 'json';
	type?: NodePropertyTypes;
	options?: INodePropertyOptions[];
	isRequired?: boolean;
	default?: string | boolean;
	/** The value of a flag that is set, instead of true. */
	gives?: unknown;
	description?: string;
	lines?: number;
	/** The body's names of the facts of a file, where the call takes them. */
	facts?: { name: string; type: string };
}

/** An operation: one call, and the part of the answer that becomes items. */
export interface Operation {
	value: string;
	name: string;
	action: string;
	method: IHttpRequestMethods;
	path: string;
	fields: Field[];
	answer?: string;
	list?: string;
	isBinary?: boolean;
	body?: Readonly<Record<string, unknown>>;
}

/** A subject and its operations. */
export interface Resource {
	value: string;
	name: string;
	operations: Operation[];
}

const id = (name: string, label: string): Field => ({ name, label, to: 'path', isRequired: true });
const TENANT = { ...id('tenantId', 'Account ID'), description: 'The tenantId of the event' };
const MESSAGE = { ...id('messageId', 'Message ID'), description: 'The messageId of the event' };
const KEY: Field = {
	name: 'idempotencyKey',
	label: 'Idempotency Key',
	to: 'body',
	isRequired: true,
	default: '={{ $json.eventId }}',
	description:
		'Your name for this act. A repeated run with the same key and content acts once; for a second act on the same event, add a word to the key.',
};
const TEXT: Field = { name: 'text', label: 'Text', to: 'body', lines: 4 };
const HTML: Field = { name: 'html', label: 'HTML', to: 'body', lines: 4, description: 'The HTML form, instead of or beside the text' };
const TO: Field = { name: 'to', label: 'To', to: 'body', kind: 'addresses', description: 'Comma-separated addresses' };
const CC: Field = { ...TO, name: 'cc', label: 'Cc' };
const BCC: Field = { ...TO, name: 'bcc', label: 'Bcc' };
const SENDS: Field[] = [
	{ name: 'attachmentFields', label: 'Attachments', to: 'binary', kind: 'list', description: 'Comma-separated names of the binary fields to attach' },
	{ name: 'sendAt', label: 'Send At', to: 'body', type: 'dateTime', description: 'The time at which to send. Empty sends at once.' },
	{ name: 'isDraftOnly', label: 'Draft Only', to: 'body', kind: 'flag', description: 'Whether to keep the mail as a draft instead of sending it' },
	// Auto-Submitted of RFC 3834 is no header of the caller's own; mailmesh and others take X-Autoreply for the same.
	{ name: 'isAutomatic', label: 'Mark as Automatic', as: 'headers', to: 'body', kind: 'flag', gives: [{ name: 'X-Autoreply', value: 'yes' }, { name: 'X-Auto-Response-Suppress', value: 'All' }], description: 'Whether to tell other programs that no person wrote this mail, so that they do not answer it' },
];
const under = (parent: string, fields: Field[]): Field[] => fields.map((field) => ({ ...field, as: `${parent}.${field.as ?? field.name}` }));
const inBody = (field: Field): Field => ({ ...field, to: 'body' });
const WINDOW: Field[] = [
	{ name: 'windowStart', label: 'From', to: 'query', type: 'dateTime', isRequired: true },
	{ name: 'windowEnd', label: 'Until', to: 'query', type: 'dateTime', isRequired: true },
];
const CALENDAR = id('calendarId', 'Calendar ID');
const CONVERSATION = id('conversationId', 'Conversation ID');
const RUN = { ...id('runId', 'Run ID'), description: 'The runId of an event of workflows' };
const options = (prefix: string, ...names: string[]): INodePropertyOptions[] =>
	names.map((name) => ({ name, value: `${prefix}_${name.toUpperCase()}` }));
const FILE: Field = { name: 'fileField', label: 'Input Binary Field', as: 'content', to: 'file', isRequired: true, default: 'data', description: 'The name of the binary field with the file' };
const LABELLED: Field[] = [
	{ name: 'subject', label: 'Subject', to: 'body' }, { ...TEXT, description: 'The new text of one mail, without the quoted one' },
	{ name: 'labels', label: 'Labels', to: 'body', kind: 'json', type: 'json', isRequired: true, default: '[{"name": "invoice", "examples": []}, {"name": "complaint", "examples": []}]', description: 'The possible answers, as JSON; three examples each are good' },
];
const SCHEMA: Field = { name: 'schema', label: 'Schema', to: 'body', kind: 'json', type: 'json', isRequired: true, default: '{"type": "object", "properties": {"amount": {"type": "string", "format": "amount"}}}', description: 'A JSON schema with texts and numbers' };
const MARKS: Field[] = [
	{ name: 'isRead', label: 'Read', as: 'change.isRead', to: 'body', type: 'options', default: '', options: [
		{ name: 'Do Not Change', value: '' }, { name: 'Read', value: 'true' }, { name: 'Unread', value: 'false' }] },
	{ name: 'isFlagged', label: 'Flag', as: 'change.isFlagged', to: 'body', type: 'options', default: '', options: [
		{ name: 'Do Not Change', value: '' }, { name: 'Flagged', value: 'true' }, { name: 'Not Flagged', value: 'false' }] },
	{ name: 'addCategories', label: 'Add Categories', as: 'change.addCategories', to: 'body', kind: 'list', description: 'Comma-separated names (Microsoft)' },
	{ name: 'removeCategories', label: 'Remove Categories', as: 'change.removeCategories', to: 'body', kind: 'list' },
	{ name: 'addLabelIds', label: 'Add Label IDs', as: 'change.addLabelIds', to: 'body', kind: 'list', description: 'Comma-separated IDs (Google)' },
	{ name: 'removeLabelIds', label: 'Remove Label IDs', as: 'change.removeLabelIds', to: 'body', kind: 'list' },
	{ name: 'folderId', label: 'Move to Folder ID', as: 'change.folderId', to: 'body', description: 'The ID of a folder (Microsoft)' },
	{ name: 'place', label: 'Move To', as: 'change.place', to: 'body', type: 'options', default: '', options: [
		{ name: 'Do Not Move', value: '' }, ...options('MAIL_PLACE', 'Archive', 'Inbox', 'Trash')] },
];

export const RESOURCES: Resource[] = [
	{
		value: 'account', name: 'Account', operations: [
			{ value: 'getMany', name: 'Get Many', action: 'Get many accounts', method: 'GET', path: '/v1/tenants', fields: [], list: 'tenants' },
			{ value: 'folders', name: 'Get Folders', action: 'Get the folders of an account', method: 'GET', path: '/v1/tenants/{tenantId}/folders', fields: [TENANT], list: 'folders' },
			{ value: 'identities', name: 'Get Identities', action: 'Get the sender addresses of an account', method: 'GET', path: '/v1/tenants/{tenantId}/identities', fields: [TENANT], list: 'identities' },
			{ value: 'labels', name: 'Get Labels', action: 'Get the labels of an account', method: 'GET', path: '/v1/tenants/{tenantId}/labels', fields: [TENANT], list: 'labels' },
		],
	},
	{
		value: 'calendar', name: 'Calendar', operations: [
			{ value: 'follow', name: 'Follow', action: 'Follow a calendar', method: 'POST', path: '/v1/calendars/{calendarId}:follow', fields: [CALENDAR], answer: 'calendar', body: {} },
			{ value: 'event', name: 'Get an Event', action: 'Get a calendar event', method: 'GET', path: '/v1/calendar-events/{calendarEventId}', fields: [id('calendarEventId', 'Calendar Event ID')], answer: 'event' },
			{ value: 'events', name: 'Get Events', action: 'Get the events of a calendar', method: 'GET', path: '/v1/calendars/{calendarId}/events', fields: [CALENDAR, ...WINDOW,
				{ name: 'isExpanded', label: 'Expand Series', to: 'query', kind: 'flag', description: 'Whether to return each instance of a series' }], list: 'events' },
			{ value: 'instances', name: 'Get Instances', action: 'Get the instances of a series', method: 'GET', path: '/v1/calendar-events/{calendarEventId}/instances', fields: [id('calendarEventId', 'Calendar Event ID'), ...WINDOW], list: 'events' },
			{ value: 'getMany', name: 'Get Many', action: 'Get the calendars of an account', method: 'GET', path: '/v1/calendars', fields: [{ ...TENANT, to: 'query' }], list: 'calendars' },
			{ value: 'unfollow', name: 'Unfollow', action: 'Unfollow a calendar', method: 'POST', path: '/v1/calendars/{calendarId}:unfollow', fields: [CALENDAR], answer: 'calendar', body: {} },
		],
	},
	{
		value: 'conversation', name: 'Conversation', operations: [
			{ value: 'claim', name: 'Claim', action: 'Claim a conversation', method: 'POST', path: '/v1/conversations/{conversationId}:claim', fields: [CONVERSATION, { name: 'name', label: 'Name', to: 'body', isRequired: true, description: 'The person or program that works on it' }], answer: 'conversation' },
			{ value: 'get', name: 'Get', action: 'Get a conversation', method: 'GET', path: '/v1/conversations/{conversationId}', fields: [CONVERSATION], answer: 'conversation' },
			{ value: 'getMany', name: 'Get Many', action: 'Get the conversations of an account', method: 'GET', path: '/v1/conversations', fields: [{ ...TENANT, to: 'query' }], list: 'conversations' },
			{ value: 'messages', name: 'Get Messages', action: 'Get the messages of a conversation', method: 'GET', path: '/v1/conversations/{conversationId}/messages', fields: [CONVERSATION], list: 'messages' },
			{ value: 'release', name: 'Release', action: 'Release a conversation', method: 'POST', path: '/v1/conversations/{conversationId}:release', fields: [CONVERSATION, { name: 'name', label: 'Name', to: 'body', isRequired: true, description: 'The name that claimed it' }], answer: 'conversation' },
			{ value: 'setState', name: 'Set State', action: 'Set the state of a conversation', method: 'POST', path: '/v1/conversations/{conversationId}:setState', fields: [CONVERSATION,
				{ name: 'expectedVersion', label: 'Expected Version', to: 'body', isRequired: true, description: 'The version that you read; a newer one refuses the change' },
				{ name: 'state', label: 'State', to: 'body', isRequired: true, type: 'options', default: 'CONVERSATION_STATE_SOLVED', options: options('CONVERSATION_STATE', 'Closed', 'Open', 'Pending', 'Solved') }], answer: 'conversation' },
		],
	},
	{
		value: 'event', name: 'Event', operations: [
			{ value: 'get', name: 'Get', action: 'Get an event', method: 'GET', path: '/v1/events/{eventId}', fields: [id('eventId', 'Event ID'),
				{ name: 'view', label: 'Content', to: 'query', type: 'options', default: 'EVENT_VIEW_BODY', options: [
					{ name: 'With Text', value: 'EVENT_VIEW_BODY' }, { name: 'With the Provider\'s Own Object', value: 'EVENT_VIEW_FULL' }, { name: 'Without Text', value: 'EVENT_VIEW_BASIC' }] }], answer: 'event' },
			{ value: 'markProcessed', name: 'Mark as Processed', action: 'Mark the message of an event as processed', method: 'POST', path: '/v1/events/{eventId}:markProcessed', fields: [id('eventId', 'Event ID')], answer: 'modification', body: {} },
		],
	},
	{
		value: 'message', name: 'Message', operations: [
			{ value: 'modify', name: 'Change Marks', action: 'Change the marks or the folder of a message', method: 'POST', path: '/v1/messages:modify', fields: [inBody(TENANT), { ...MESSAGE, to: 'body', kind: 'list', as: 'messageIds', label: 'Message IDs', description: 'Comma-separated IDs' }, KEY, ...MARKS], answer: 'modification' },
			{ value: 'get', name: 'Get', action: 'Get a message', method: 'GET', path: '/v1/tenants/{tenantId}/messages/{messageId}', fields: [TENANT, MESSAGE], answer: 'message' },
			{ value: 'raw', name: 'Get as File', action: 'Get a message as a file', method: 'GET', path: '/v1/tenants/{tenantId}/messages/{messageId}:raw', fields: [TENANT, MESSAGE], isBinary: true },
			{ value: 'attachment', name: 'Get Attachment', action: 'Get an attachment of a message', method: 'GET', path: '/v1/tenants/{tenantId}/messages/{messageId}/attachments/{attachmentId}', fields: [TENANT, MESSAGE, id('attachmentId', 'Attachment ID')], isBinary: true },
			{ value: 'search', name: 'Search', action: 'Search the messages of an account', method: 'POST', path: '/v1/tenants/{tenantId}/messages:search', fields: [TENANT,
				{ name: 'searchText', as: 'query.text', label: 'Text', to: 'body' }, { name: 'searchFrom', as: 'query.from', label: 'From', to: 'body' },
				{ name: 'searchTo', as: 'query.to', label: 'To', to: 'body' }, { name: 'searchSubject', as: 'query.subject', label: 'Subject', to: 'body' }], list: 'messages' },
			{ value: 'searchStored', name: 'Search Stored Mail', action: 'Search the stored mail of an account', method: 'POST', path: '/v1/tenants/{tenantId}/mail:search', fields: [TENANT,
				{ name: 'words', as: 'query', label: 'Words', to: 'body', description: 'Words that a mail must all have: word, wor*, "two words", -word' },
				{ name: 'author', as: 'from', label: 'From', to: 'body', description: 'An address or a domain' }, { name: 'recipient', as: 'to', label: 'To', to: 'body', description: 'An address or a domain' },
				{ name: 'receivedAfter', label: 'Received After', to: 'body', type: 'dateTime' }, { name: 'receivedBefore', label: 'Received Before', to: 'body', type: 'dateTime' }], list: 'hits' },
		],
	},
	{
		value: 'primitive', name: 'Primitive', operations: [
			{ value: 'classify', name: 'Classify', action: 'Classify a text', method: 'POST', path: '/v1/primitives:classifyMessage', fields: [
				...LABELLED] },
			{ value: 'classifyByModel', name: 'Classify by Model', action: 'Classify a text by the named model', method: 'POST', path: '/v1/tenants/{tenantId}:classifyByModel', fields: [TENANT,
				...LABELLED] },
			{ value: 'document', name: 'Extract a Document', action: 'Extract the text of a document', method: 'POST', path: '/v1/primitives:extractDocument', fields: [{ ...FILE, facts: { name: 'fileName', type: 'contentType' } }] },
			{ value: 'fields', name: 'Extract Fields', action: 'Extract fields from a text', method: 'POST', path: '/v1/primitives:extractFields', fields: [{ ...TEXT, isRequired: true },
				SCHEMA] },
			{ value: 'fieldsByModel', name: 'Extract Fields by Model', action: 'Extract fields from a text by the named model', method: 'POST', path: '/v1/tenants/{tenantId}:extractByModel', fields: [TENANT, { ...TEXT, isRequired: true },
				SCHEMA] },
			{ value: 'mail', name: 'Parse a Mail', action: 'Parse the file of a mail', method: 'POST', path: '/v1/primitives:parseMail', fields: [FILE] },
		],
	},
	{
		value: 'send', name: 'Send', operations: [
			{ value: 'cancel', name: 'Cancel', action: 'Cancel a send', method: 'POST', path: '/v1/sends/{sendId}:cancel', fields: [id('sendId', 'Send ID')], answer: 'send', body: {} },
			{ value: 'forward', name: 'Forward', action: 'Forward a message', method: 'POST', path: '/v1/sends', fields: [inBody(TENANT), KEY, ...under('forward', [inBody(MESSAGE), { ...TO, isRequired: true }, CC, BCC, TEXT, HTML]), ...SENDS], answer: 'send' },
			{ value: 'get', name: 'Get', action: 'Get a send', method: 'GET', path: '/v1/sends/{sendId}', fields: [id('sendId', 'Send ID')], answer: 'send' },
			{ value: 'reply', name: 'Reply', action: 'Reply to a message', method: 'POST', path: '/v1/sends', fields: [inBody(TENANT), KEY, ...under('reply', [inBody(MESSAGE),
				{ name: 'toAll', label: 'To All', to: 'body', kind: 'flag', description: 'Whether the recipients in To and Cc get the reply as well' }, TEXT, HTML]), ...SENDS], answer: 'send' },
			{ value: 'send', name: 'Send', action: 'Send a message', method: 'POST', path: '/v1/sends', fields: [inBody(TENANT), KEY, ...under('mail', [{ ...TO, isRequired: true }, CC, BCC,
				{ name: 'subject', label: 'Subject', to: 'body' }, TEXT, HTML]), ...SENDS], answer: 'send' },
		],
	},
	{
		value: 'workflowRun', name: 'Workflow Run', operations: [
			{ value: 'resume', name: 'Answer', action: 'Answer the question of a workflow run', method: 'POST', path: '/v1/workflow-runs/{runId}:resume', fields: [RUN,
				{ name: 'questionId', label: 'Question ID', to: 'body', isRequired: true, description: 'The questionId of the run that waits' },
				{ name: 'answer', label: 'Answer', to: 'body', isRequired: true, lines: 4, description: 'The answer as JSON; the first answer to a question counts' }], answer: 'run' },
			{ value: 'cancel', name: 'Cancel', action: 'Cancel a workflow run', method: 'POST', path: '/v1/workflow-runs/{runId}:cancel', fields: [RUN], answer: 'run', body: {} },
			{ value: 'get', name: 'Get', action: 'Get a workflow run', method: 'GET', path: '/v1/workflow-runs/{runId}', fields: [RUN], answer: 'run' },
			{ value: 'getMany', name: 'Get Many', action: 'Get many workflow runs', method: 'GET', path: '/v1/workflow-runs', fields: [
				{ name: 'state', label: 'State', to: 'query', type: 'options', default: '', options: [{ name: 'Any', value: '' }, ...options('WORKFLOW_RUN_STATE', 'Cancelled', 'Failed', 'Queued', 'Running', 'Succeeded', 'Waiting')] }], list: 'runs' },
			{ value: 'start', name: 'Start', action: 'Start a workflow for an event', method: 'POST', path: '/v1/workflow-runs', fields: [
				{ name: 'workflow', label: 'Workflow', to: 'body', isRequired: true, description: 'The name of the workflow in the settings of mailmesh' },
				{ ...id('eventId', 'Event ID'), to: 'body' }], answer: 'run' },
		],
	},
];

/** Returns an operation, or undefined where an expression names one that does not exist. */
export function operationOf(resource: string, operation: string): Operation | undefined {
	return RESOURCES.find(({ value }) => value === resource)?.operations.find(({ value }) => value === operation);
}
