// Uploads binary fields as attachments of a send, in parts.

import { createHash } from 'crypto';
import type { IDataObject, IExecuteFunctions } from 'n8n-workflow';

import { call } from '../../shared/rest';

const PART_BYTES = 512 * 1024;

/** Uploads the binary fields of an item, and returns them as `Send` takes them. */
export async function uploadAll(node: IExecuteFunctions, item: number, names: string[], tenantId: string): Promise<IDataObject[]> {
	const found: IDataObject[] = [];
	for (const name of names) found.push({ uploadId: await upload(node, item, name, tenantId) });
	return found;
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
