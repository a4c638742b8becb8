import type { IDataObject, INodeExecutionData, INodeType, INodeTypeDescription, IPollFunctions } from 'n8n-workflow';
import { NodeConnectionTypes } from 'n8n-workflow';

import { EVENT_TYPES, TENANTS, flat } from '../../shared/events';
import { listOf } from '../../shared/fields';
import { callOr } from '../../shared/rest';

const PAGE_SIZE = 200;
const MOST_EVENTS = 2_000;
const SAMPLE_SIZE = 5;
const LOST = new Set(['CURSOR_EXPIRED', 'CURSOR_EPOCH_CHANGED']);

interface Read {
	events: IDataObject[];
	cursor: string;
	hasMore: boolean;
	lost: string;
}

export class MailmeshPollTrigger implements INodeType {
	description: INodeTypeDescription = {
		displayName: 'mailmesh Poll Trigger',
		name: 'mailmeshPollTrigger',
		icon: { light: 'file:../../icons/mailmesh.svg', dark: 'file:../../icons/mailmesh.dark.svg' },
		group: ['trigger'],
		version: [1],
		subtitle: '={{$parameter["eventTypes"] || "all events"}}',
		description: 'Starts the workflow with the events of mailmesh since the last poll; n8n needs no public address',
		defaults: { name: 'mailmesh Poll Trigger' },
		polling: true,
		inputs: [],
		outputs: [NodeConnectionTypes.Main],
		credentials: [{ name: 'mailmeshApi', required: true }],
		properties: [
			EVENT_TYPES,
			TENANTS,
			{
				displayName: 'Content',
				name: 'view',
				type: 'options',
				options: [
					{ name: 'Without Text', value: 'EVENT_VIEW_BASIC' },
					{ name: 'With Text', value: 'EVENT_VIEW_BODY' },
					{ name: 'With the Provider\'s Own Object', value: 'EVENT_VIEW_FULL' },
				],
				default: 'EVENT_VIEW_BODY',
			},
			{
				displayName: 'First Poll',
				name: 'start',
				type: 'options',
				options: [
					{ name: 'Begins with the Next Event', value: 'latest' },
					{ name: 'Begins with the Oldest Event Kept', value: 'earliest' },
				],
				default: 'latest',
			},
		],
	};

	async poll(this: IPollFunctions): Promise<INodeExecutionData[][] | null> {
		const isTest = this.getMode() === 'manual';
		const stored = this.getWorkflowStaticData('node') as { cursor?: string };
		const { events, cursor } = isTest
			? await page(this, 'earliest', SAMPLE_SIZE)
			: await unread(this, stored.cursor ?? String(this.getNodeParameter('start')));
		if (!isTest) stored.cursor = cursor;
		return events.length === 0 ? null : [events.map((event) => ({ json: flat(event) }))];
	}
}

// Reads pages until the last one, at most as many as one run of a workflow can bear; the next poll reads on.
async function unread(poll: IPollFunctions, start: string): Promise<Read> {
	let read: Read = { events: [], cursor: start, hasMore: true, lost: '' };
	while (read.hasMore && read.events.length < MOST_EVENTS) {
		const next = await pageOrOldest(poll, read.cursor);
		read = { ...next, events: [...read.events, ...next.events] };
	}
	return read;
}

// A cursor that mailmesh serves no more leads to the oldest event kept; the log of n8n tells of the gap.
async function pageOrOldest(poll: IPollFunctions, cursor: string): Promise<Read> {
	const read = await page(poll, cursor, PAGE_SIZE, LOST);
	if (read.lost === '') return read;
	poll.logger.warn(`mailmesh Poll Trigger: ${read.lost}: events may be missing; reading continues with the oldest event`);
	return await page(poll, 'earliest', PAGE_SIZE);
}

async function page(poll: IPollFunctions, cursor: string, pageSize: number, expected?: Set<string>): Promise<Read> {
	const query: IDataObject = {
		cursor,
		pageSize,
		view: poll.getNodeParameter('view') as string,
		'filter.tenantIds': listOf(poll.getNodeParameter('tenantIds')),
		'filter.eventTypes': listOf(poll.getNodeParameter('eventTypes')),
	};
	const { answer, reason } = await callOr(poll, { method: 'GET', path: '/v1/events', query }, expected);
	if (!answer) return { events: [], cursor, hasMore: true, lost: reason };
	return {
		events: (answer.events ?? []) as IDataObject[],
		cursor: String(answer.nextCursor),
		hasMore: answer.hasMore === true,
		lost: '',
	};
}
