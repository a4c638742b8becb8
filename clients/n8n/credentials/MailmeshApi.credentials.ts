import type { IAuthenticateGeneric, Icon, ICredentialTestRequest, ICredentialType, INodeProperties } from 'n8n-workflow';

/** An API key of mailmesh and the address of its edge. */
export class MailmeshApi implements ICredentialType {
	name = 'mailmeshApi';

	displayName = 'Mailmesh API';

	icon: Icon = { light: 'file:../icons/mailmesh.svg', dark: 'file:../icons/mailmesh.dark.svg' };

	documentationUrl = 'https://mailmesh.internal/docs/how-to/n8n';

	properties: INodeProperties[] = [
		{
			displayName: 'Address',
			name: 'baseUrl',
			type: 'string',
			default: '',
			required: true,
			placeholder: 'e.g. https://mail.example.com',
			description: 'The address of the edge of mailmesh, without a path',
		},
		{
			displayName: 'API Key',
			name: 'apiKey',
			type: 'string',
			typeOptions: { password: true },
			default: '',
			required: true,
			description: 'A key of role operator; role reader is enough for the poll trigger and for reading',
		},
	];

	authenticate: IAuthenticateGeneric = {
		type: 'generic',
		properties: { headers: { Authorization: '=Bearer {{$credentials.apiKey}}' } },
	};

	test: ICredentialTestRequest = {
		request: {
			baseURL: '={{$credentials.baseUrl}}',
			url: '/v1/events',
			qs: { cursor: 'latest', pageSize: 1 },
		},
	};
}
