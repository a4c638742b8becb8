import type { IDataObject, IExecuteFunctions, INodeExecutionData, INodeType, INodeTypeDescription, JsonObject } from 'n8n-workflow';
import { NodeApiError, NodeConnectionTypes, NodeOperationError } from 'n8n-workflow';

import { flat } from '../../shared/events';
import { listOf } from '../../shared/fields';
import { allPages, bytes, call, type Call } from '../../shared/rest';
import { operationOf, type Operation } from './operations';
import { PROPERTIES } from './properties';
import { requestOf } from './request';
import { uploadAll, withFile } from './uploads';

export class Mailmesh implements INodeType {
	description: INodeTypeDescription = {
		displayName: 'mailmesh',
		name: 'mailmesh',
		icon: { light: 'file:../../icons/mailmesh.svg', dark: 'file:../../icons/mailmesh.dark.svg' },
		group: ['transform'],
		version: [1],
		subtitle: '={{$parameter["operation"] + ": " + $parameter["resource"]}}',
		description: 'Reads, sends and changes mail, calendars and conversations of connected accounts',
		defaults: { name: 'mailmesh' },
		inputs: [NodeConnectionTypes.Main],
		outputs: [NodeConnectionTypes.Main],
		usableAsTool: true,
		credentials: [{ name: 'mailmeshApi', required: true }],
		properties: PROPERTIES,
	};

	async execute(this: IExecuteFunctions): Promise<INodeExecutionData[][]> {
		const found: INodeExecutionData[] = [];
		for (let item = 0; item < this.getInputData().length; item++) {
			try {
				const items = await perform(this, item);
				found.push(...items.map((one) => ({ ...one, pairedItem: { item } })));
			} catch (error) {
				if (!this.continueOnFail()) throw failure(this, error, item);
				found.push({ json: { error: (error as Error).message }, pairedItem: { item } });
			}
		}
		return [found];
	}
}

async function perform(node: IExecuteFunctions, item: number): Promise<INodeExecutionData[]> {
	const [resource, name] = ['resource', 'operation'].map((field) => String(node.getNodeParameter(field, item)));
	const operation = operationOf(resource ?? '', name ?? '');
	if (!operation) throw new NodeOperationError(node.getNode(), `mailmesh has no operation ${resource}.${name}`, { itemIndex: item });
	const request = requestOf(operation, (field) => node.getNodeParameter(field, item, undefined), node.getTimezone());
	if (operation.isBinary) return [await file(node, item, request)];
	if (operation.list) {
		const most = Number(node.getNodeParameter('limit', item));
		return (await allPages(node, request, operation.list, most)).map((json) => ({ json }));
	}
	return [{ json: answerOf(operation, await call(node, await withBinaries(node, item, operation, request))) }];
}

function answerOf(operation: Operation, answer: IDataObject): IDataObject {
	const part = operation.answer === undefined ? answer : (answer[operation.answer] as IDataObject);
	return operation.answer === 'event' && operation.path.startsWith('/v1/events/') ? flat(part) : part;
}

async function withBinaries(node: IExecuteFunctions, item: number, operation: Operation, request: Call): Promise<Call> {
	const file = operation.fields.find((field) => field.to === 'file');
	if (file) return withFile(node, item, file, request);
	if (!operation.fields.some((field) => field.to === 'binary')) return request;
	const names = listOf(node.getNodeParameter('attachmentFields', item, ''));
	if (names.length === 0) return request;
	const attachments = await uploadAll(node, item, names, String(request.body?.tenantId));
	return { ...request, body: { ...request.body, attachments } };
}

async function file(node: IExecuteFunctions, item: number, request: Call): Promise<INodeExecutionData> {
	const content = await bytes(node, request);
	const field = String(node.getNodeParameter('binaryField', item));
	const name = String(node.getNodeParameter('attachmentId', item, 'message.eml')).slice(-100);
	const binary = await node.helpers.prepareBinaryData(content, name);
	return { json: { sizeBytes: content.length }, binary: { [field]: binary } };
}

function failure(node: IExecuteFunctions, error: unknown, itemIndex: number): Error {
	if (error instanceof NodeApiError) return error;
	if (error instanceof NodeOperationError) return error;
	if (error instanceof Error) return new NodeOperationError(node.getNode(), error, { itemIndex });
	return new NodeApiError(node.getNode(), error as JsonObject, { itemIndex });
}
