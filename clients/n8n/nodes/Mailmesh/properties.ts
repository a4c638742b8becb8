// The node's form, made from its operations.

import type { INodeProperties } from 'n8n-workflow';

import { RESOURCES, type Field, type Operation } from './operations';

const LIMIT: INodeProperties = {
	displayName: 'Limit',
	name: 'limit',
	type: 'number',
	typeOptions: { minValue: 1, maxValue: 10_000 },
	default: 50,
	description: 'Max number of results to return',
};

const BINARY_FIELD: INodeProperties = {
	displayName: 'Put Output File in Field',
	name: 'binaryField',
	type: 'string',
	required: true,
	default: 'data',
	description: 'The name of the binary field for the file',
};

// A form opens with reading, where the resource has it.
function firstOf(operations: Operation[]): string {
	return (operations.find(({ value }) => value === 'get') ?? operations[0])?.value ?? '';
}

function propertiesOf(resource: string, operation: Operation): INodeProperties[] {
	const displayOptions = { show: { resource: [resource], operation: [operation.value] } };
	const fields = operation.fields.map((field) => ({ ...property(field), displayOptions }));
	if (operation.list) fields.push({ ...LIMIT, displayOptions });
	if (operation.isBinary) fields.push({ ...BINARY_FIELD, displayOptions });
	return fields;
}

function property(field: Field): INodeProperties {
	return {
		displayName: field.label,
		name: field.name,
		type: field.type ?? (field.kind === 'flag' ? 'boolean' : 'string'),
		default: field.default ?? (field.kind === 'flag' ? false : ''),
		...(field.isRequired && { required: true }),
		...(field.options && { options: field.options }),
		...(field.lines && { typeOptions: { rows: field.lines } }),
		...(field.description && { description: field.description }),
	};
}

/** The properties of the node: the resource, its operation, and the operation's fields. */
export const PROPERTIES: INodeProperties[] = [
	{
		displayName: 'Resource',
		name: 'resource',
		type: 'options',
		noDataExpression: true,
		options: RESOURCES.map(({ name, value }) => ({ name, value })),
		default: 'message',
	},
	...RESOURCES.map(
		({ value, operations }): INodeProperties => ({
			displayName: 'Operation',
			name: 'operation',
			type: 'options',
			noDataExpression: true,
			displayOptions: { show: { resource: [value] } },
			options: operations.map(({ name, action, value: operation }) => ({ name, action, value: operation, description: action })),
			default: firstOf(operations),
		}),
	),
	...RESOURCES.flatMap(({ value, operations }) => operations.flatMap((operation) => propertiesOf(value, operation))),
];
