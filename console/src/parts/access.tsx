// The fields of an endpoint's access to its receiver. Certificates and keys come from files, as on the command line.
import { useState } from "react";
import type { Endpoint } from "../../../gen/ts/mailmesh/delivery/v1/endpoint_service_pb.js";
import { MOST_FILE_BYTES, NO_ACCESS, accessOf, type Access } from "../access.js";
import { endpoints } from "../api.js";
import { Act, Button, Field, FileField, useChange } from "./controls.js";
import { Failed, Time } from "./show.js";

export function AccessFields({ value, set }: { value: Access; set: (value: Access) => void }) {
  const field = (name: keyof Access) => (text: string) => set({ ...value, [name]: text });
  return (
    <>
      <FileField label="Client certificate (PEM)" set={field("certificate")} mostBytes={MOST_FILE_BYTES} />
      <FileField label="Its private key (PEM)" set={field("key")} mostBytes={MOST_FILE_BYTES} />
      <Field label="Token endpoint" value={value.tokenUrl} set={field("tokenUrl")} hint="none; or https://id.example.com/token" />
      {(value.tokenUrl || value.clientId || value.clientSecret || value.scope) && (
        <>
          <Field label="Client ID" value={value.clientId} set={field("clientId")} isRequired />
          <Field label="Client secret" value={value.clientSecret} set={field("clientSecret")} type="password" isRequired />
          <Field label="Scope" value={value.scope} set={field("scope")} />
        </>
      )}
    </>
  );
}

// A sentence under a form that keeps it from being sent.
export function Fault({ text }: { text: string }) {
  return text ? <p role="alert" className="failed">{text}</p> : null;
}

// Replaces or removes the access of an endpoint. What is stored is never shown again, so the fields begin empty.
export function ChangeAccess({ endpoint, close }: { endpoint: Endpoint; close: () => void }) {
  const [access, setAccess] = useState(NO_ACCESS);
  const [fault, setFault] = useState("");
  const endpointId = endpoint.endpointId;
  const change = useChange(() => endpoints.updateEndpoint({ endpointId, ...accessOf(access).parts }), close);
  const remove = (path: string) => () => endpoints.updateEndpoint({ endpointId, updateMask: { paths: [path] } });
  const save = () => {
    const { parts, fault: found } = accessOf(access);
    const missing = Object.keys(parts).length === 0 ? "Choose the files of a certificate, or name a token endpoint." : "";
    setFault(found || missing);
    if (!found && !missing) change.mutate();
  };
  return (
    <form onSubmit={(event) => { event.preventDefault(); save(); }}>
      <p>What is given here replaces what is stored. Stored certificates, keys and secrets are not shown again.</p>
      {endpoint.clientCertificateEndsAt && (
        <div className="buttons left"><span>Certificate until <Time at={endpoint.clientCertificateEndsAt} /></span><Act name="Remove the certificate" call={remove("client_certificate")} /></div>
      )}
      {endpoint.tokenUrl && <div className="buttons left"><Act name="Remove the credentials" call={remove("client_credentials")} /></div>}
      <AccessFields value={access} set={setAccess} />
      <Fault text={fault} />
      {change.isError && <Failed error={change.error} />}
      <div className="buttons">
        <Button className="plain" onPress={close}>Cancel</Button>
        <Button className="primary" type="submit" isDisabled={change.isPending}>Save</Button>
      </div>
    </form>
  );
}
