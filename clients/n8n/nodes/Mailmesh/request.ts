// Fills the call of an operation with the values of its fields.

import type { IDataObject } from 'n8n-workflow';
import { jsonParse } from 'n8n-workflow';

import { listOf } from '../../shared/fields';
import type { Call } from '../../shared/rest';
import { instantOf } from '../../shared/times';
import type { Field, Operation } from './operations';

/** A required field without a value. */
export class FieldMissing extends Error {
	constructor(label: string) {
		super(`The field "${label}" is empty. Give it a value, or check its expression.`);
	}
}

/** A field for a time with text that is no time. */
export class TimeInvalid extends Error {
	constructor(label: string) {
		super(`The field "${label}" has no time that mailmesh can read. Give it one such as 2026-11-28T10:00:00, or check its expression.`);
	}
}

/** A field for JSON with other text. */
export class JsonInvalid extends Error {
	constructor(label: string) {
		super(`The field "${label}" has no JSON. Give it an object or a list, or check its expression.`);
	}
}

/** A field for an id with text that has no form in a path, such as the name of a folder above, which every client takes out. */
export class IdInvalid extends Error {
	constructor(label: string) {
		super(`The field "${label}" has no id. Give it the id of an answer of mailmesh, or check its expression.`);
	}
}

/**
 * Returns the call of an operation.
 *
 * @param valueOf Returns the value of a field by its name.
 * @param zone The time zone of times without an offset: the workflow's.
 * @throws FieldMissing when a required field has no value.
 * @throws TimeInvalid when a field for a time has other text.
 * @throws JsonInvalid when a field for JSON has other text.
 * @throws IdInvalid when a part of the path would lead to another path.
 */
export function requestOf(operation: Operation, valueOf: (name: string) => unknown, zone: string): Call {
	const query: IDataObject = {};
	const body: IDataObject = { ...operation.body } as IDataObject;
	let { path } = operation;
	for (const field of operation.fields) {
		const value = shaped(field, valueOf(field.name), zone);
		if (value === undefined && field.isRequired) throw new FieldMissing(field.label);
		if (value === undefined) continue;
		if (field.to === 'path') path = path.replace(`{${field.name}}`, segment(field, String(value)));
		if (field.to === 'query') query[field.as ?? field.name] = value as IDataObject[string];
		if (field.to === 'body') put(body, (field.as ?? field.name).split('.'), value);
	}
	return operation.method === 'GET' ? { method: 'GET', path, query } : { method: operation.method, path, body };
}

// "." and ".." have no encoded form: the standard for URLs reads `%2e%2e` as `..`, and the call would go elsewhere. Half of a
// surrogate pair has none either.
function segment(field: Field, value: string): string {
	if (value === '.' || value === '..' || /[\ud800-\udfff]/u.test(value)) throw new IdInvalid(field.label);
	return encodeURIComponent(value);
}

// Empty means that the field is not given: mailmesh has its own defaults.
function shaped(field: Field, value: unknown, zone: string): unknown {
	if (isTruth(field) && ['true', 'false'].includes(String(value))) return String(value) === 'true';
	if (value === undefined || value === null || value === '' || value === false) return undefined;
	if (field.kind === 'flag') return value === true || value === 'true' ? (field.gives ?? true) : undefined;
	if (field.kind === 'json') return typeof value === 'object' ? value : parsed(field, String(value));
	if (field.kind === 'list' || field.kind === 'addresses') return parts(field, listOf(value));
	return field.type === 'dateTime' ? instant(field, value, zone) : String(value);
}

// A choice of true, false and no change: an expression gives a boolean, the form gives text.
function isTruth(field: Field): boolean {
	return field.options?.some(({ value }) => value === 'true') ?? false;
}

function instant(field: Field, value: unknown, zone: string): string {
	const found = instantOf(value, zone);
	if (found === undefined) throw new TimeInvalid(field.label);
	return found;
}

function parsed(field: Field, text: string): unknown {
	const found = jsonParse<unknown>(text, { fallbackValue: null });
	if (found === null) throw new JsonInvalid(field.label);
	return found;
}

function parts(field: Field, list: string[]): unknown {
	if (list.length === 0) return undefined;
	return field.kind === 'addresses' ? list.map((address) => ({ address })) : list;
}

function put(body: IDataObject, [name, ...rest]: string[], value: unknown): void {
	if (name === undefined) return;
	if (rest.length === 0) {
		body[name] = value as IDataObject[string];
		return;
	}
	body[name] ??= {};
	put(body[name] as IDataObject, rest, value);
}
