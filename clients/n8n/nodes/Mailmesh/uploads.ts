// Binary fields of an item: uploaded as attachments of a send, in parts, or put into the body of a call.

import { createHash } from 'crypto';
import type { IDataObject, IExecuteFunctions } from 'n8n-workflow';

import { call, type Call } from '../../shared/rest';
import type { Field } from './operations';

const PART_BYTES = 512 * 1024;

/** Uploads the binary fields of an item, and returns them as `Send` takes them. */
export async function uploadAll(node: IExecuteFunctions, item: number, names: string[], tenantId: string): Promise<IDataObject[]> {
	const found: IDataObject[] = [];
	for (const name of names) found.push({ uploadId: await upload(node, item, name, tenantId) });
	return found;
}

/** Returns a call with the file of a binary field in its body. */
export async function withFile(node: IExecuteFunctions, item: number, field: Field, request: Call): Promise<Call> {
	const name = String(node.getNodeParameter(field.name, item));
	const { fileName, mimeType } = node.helpers.assertBinaryData(item, name);
	const content = (await node.helpers.getBinaryDataBuffer(item, name)).toString('base64');
	const facts = field.facts ? { [field.facts.name]: fileName ?? '', [field.facts.type]: mimeType } : {};
	return { ...request, body: { ...request.body, [field.as ?? field.name]: content, ...facts } };
}

async function upload(node: IExecuteFunctions, item: number, field: string, tenantId: string): Promise<string> {
	const { fileName, mimeType } = node.helpers.assertBinaryData(item, field);
	const content = await node.helpers.getBinaryDataBuffer(item, field);
	const name = fileName ?? `${field}-${createHash('sha256').update(content).digest('hex').slice(0, 8)}`;
	let uploadId = '';
	for (let start = 0; start < content.length || start === 0; start += PART_BYTES) {
		const part = content.subarray(start, start + PART_BYTES).toString('base64');
		const head = uploadId ? { uploadId, startByte: start } : { name, contentType: mimeType, sizeBytes: content.length };
		const answer = await call(node, { method: 'POST', path: '/v1/uploads', body: { tenantId, content: part, ...head } });
		uploadId = String((answer.upload as IDataObject).uploadId);
	}
	return uploadId;
}
