// The proofs that an endpoint shows to its receiver beside the signature: a client certificate, and client credentials for access tokens.
// The rules are those of the command line: the parts of each belong together, and the secret's surrounding space is none of it.

export interface Access {
  certificate: string;
  key: string;
  tokenUrl: string;
  clientId: string;
  clientSecret: string;
  scope: string;
}

export const NO_ACCESS: Access = { certificate: "", key: "", tokenUrl: "", clientId: "", clientSecret: "", scope: "" };

// Larger than any that mailmesh takes: a wrong file is not read into the page.
export const MOST_FILE_BYTES = 64 * 1024;

export interface AccessParts {
  clientCertificate?: { certificate: string; key: string };
  clientCredentials?: { tokenUrl: string; clientId: string; clientSecret: string; scope: string };
}

// The parts of a request, without those that are not given; or the fault that keeps them from one.
export function accessOf(given: Access): { parts: AccessParts; fault: string } {
  const tokenUrl = given.tokenUrl.trim(), clientId = given.clientId.trim(), clientSecret = given.clientSecret.trim(), scope = given.scope.trim();
  if (Boolean(given.certificate) !== Boolean(given.key)) return { parts: {}, fault: "A client certificate and its private key belong together." };
  const hasCredentials = Boolean(tokenUrl || clientId || clientSecret || scope);
  if (hasCredentials && !(tokenUrl && clientId && clientSecret)) {
    return { parts: {}, fault: "A token endpoint, a client ID and a client secret belong together." };
  }
  return {
    parts: {
      ...(given.certificate && { clientCertificate: { certificate: given.certificate, key: given.key } }),
      ...(hasCredentials && { clientCredentials: { tokenUrl, clientId, clientSecret, scope } }),
    },
    fault: "",
  };
}
