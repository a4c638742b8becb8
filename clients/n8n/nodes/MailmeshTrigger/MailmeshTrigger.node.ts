import type {
	IHookFunctions,
	INodeType,
	INodeTypeDescription,
	IWebhookFunctions,
	IWebhookResponseData,
} from 'n8n-workflow';
import { NodeConnectionTypes, NodeOperationError } from 'n8n-workflow';

import { deleteEndpoint, ensureEndpoint, findEndpoint, pauseEndpoint, type Wish } from '../../shared/endpoints';
import { EVENT_TYPES, TENANTS } from '../../shared/events';
import { listOf } from '../../shared/fields';
import { receive } from '../../shared/receive';

export class MailmeshTrigger implements INodeType {
	description: INodeTypeDescription = {
		displayName: 'mailmesh Trigger',
		name: 'mailmeshTrigger',
		icon: { light: 'file:../../icons/mailmesh.svg', dark: 'file:../../icons/mailmesh.dark.svg' },
		group: ['trigger'],
		version: [1],
		subtitle: '={{$parameter["eventTypes"] || "all events"}}',
		description: 'Starts the workflow with each event of mailmesh, delivered as a signed webhook',
		defaults: { name: 'mailmesh Trigger' },
		inputs: [],
		outputs: [NodeConnectionTypes.Main],
		credentials: [{ name: 'mailmeshApi', required: true }],
		webhooks: [
			{
				name: 'default',
				httpMethod: 'POST',
				responseMode: '={{$parameter["respond"]}}',
				responseData: 'noData',
				path: 'mailmesh',
				rawBody: true,
			},
		],
		properties: [
			EVENT_TYPES,
			TENANTS,
			{
				displayName: 'Content',
				name: 'view',
				type: 'options',
				options: [
					{ name: 'IDs Only', value: 'ENDPOINT_VIEW_THIN', description: 'The workflow reads the event by its ID' },
					{ name: 'Whole Event', value: 'ENDPOINT_VIEW_FULL', description: 'The webhook carries the content of the mail' },
				],
				default: 'ENDPOINT_VIEW_THIN',
			},
			{
				displayName: 'Respond',
				name: 'respond',
				type: 'options',
				options: [
					{
						name: 'When the Workflow Finishes',
						value: 'lastNode',
						description: 'Mailmesh repeats an event whose workflow failed or died: nothing is lost',
					},
					{
						name: 'Immediately',
						value: 'onReceived',
						description: 'For workflows of more than 30 seconds: n8n alone is responsible from the answer on',
					},
				],
				default: 'lastNode',
			},
			{
				displayName: 'While Inactive',
				name: 'whileInactive',
				type: 'options',
				options: [
					{ name: 'Keep Events', value: 'pause', description: 'Deliver them when the workflow is active again' },
					{ name: 'Skip Events', value: 'delete', description: 'Delete the endpoint and begin with the next event' },
				],
				default: 'delete',
				description: 'What mailmesh does with events while the workflow is not active',
			},
			{
				displayName: 'Parallel Deliveries',
				name: 'concurrency',
				type: 'number',
				typeOptions: { minValue: 1, maxValue: 50 },
				default: 1,
				description: 'Whether events wait for each other: 1 delivers them one by one, more overlaps those of different messages',
			},
		],
	};

	webhookMethods = {
		default: {
			async checkExists(this: IHookFunctions): Promise<boolean> {
				const found = await findEndpoint(this, urlOf(this), wishOf(this));
				return found !== undefined && found.isAsWished && !found.isStopped;
			},

			async create(this: IHookFunctions): Promise<boolean> {
				const endpoint = await ensureEndpoint(this, urlOf(this), wishOf(this));
				this.getWorkflowStaticData('node').publicKey = endpoint.publicKey;
				return true;
			},

			async delete(this: IHookFunctions): Promise<boolean> {
				const isKept = this.getNodeParameter('whileInactive') === 'pause' && this.getMode() !== 'manual';
				await (isKept ? pauseEndpoint : deleteEndpoint)(this, urlOf(this));
				return true;
			},
		},
	};

	async webhook(this: IWebhookFunctions): Promise<IWebhookResponseData> {
		return await receive(this);
	}
}

function urlOf(hook: IHookFunctions): string {
	const url = hook.getNodeWebhookUrl('default');
	if (url === undefined) throw new NodeOperationError(hook.getNode(), 'n8n gave this trigger no webhook URL');
	return url;
}

function wishOf(hook: IHookFunctions): Wish {
	const parameter = (name: string): unknown => hook.getNodeParameter(name);
	return {
		displayName: `n8n: ${hook.getWorkflow().name ?? 'workflow'}`.slice(0, 200),
		tenantIds: listOf(parameter('tenantIds')),
		eventTypes: listOf(parameter('eventTypes')),
		view: String(parameter('view')),
		concurrency: Number(parameter('concurrency')),
		timeoutSeconds: 30,
	};
}
