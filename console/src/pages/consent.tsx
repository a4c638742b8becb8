// Waiting for a person at the provider's page.
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { AuthorizationState } from "../../../gen/ts/mailmesh/vault/v1/tenant_service_pb.js";
import { tenants } from "../api.js";
import { causeOf, remedyOf } from "../failure.js";
import { Button } from "../parts/controls.js";
import { Failed } from "../parts/show.js";
import { href } from "../route.js";

export const ADMITTED = "The organisation has admitted the app. Connect its mailboxes now.";

// The person signs in at the provider in another tab; the outcome is asked for here.
export function Consent({ url, flowId, close, isOrganisation = false }: { url: string; flowId: string; close: () => void; isOrganisation?: boolean }) {
  const client = useQueryClient();
  // Once an account or an organisation is connected, the lists that name it are read again.
  const ask = async () => {
    const answer = await tenants.getAuthorization({ flowId });
    if (answer.state === AuthorizationState.CONNECTED) void client.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== "flow" });
    return answer;
  };
  const flow = useQuery({
    queryKey: ["flow", flowId],
    queryFn: ask,
    refetchInterval: (query) => (query.state.data?.state === AuthorizationState.PENDING || !query.state.data ? 1_500 : false),
  });
  const state = flow.data?.state;
  if (state === AuthorizationState.CONNECTED) {
    return (
      <>
        <p role="status">{isOrganisation ? ADMITTED : "The account is connected."}</p>
        {flow.data && flow.data.missingAbilities.length > 0 && <p>Not granted: {flow.data.missingAbilities.join(", ")}. Reconnect the account to ask again.</p>}
        <div className="buttons">
          <Button className="plain" onPress={close}>Close</Button>
          {!isOrganisation && <a className="button" href={href(["accounts", flow.data?.tenantId ?? ""])} onClick={close}>Show the account</a>}
        </div>
      </>
    );
  }
  if (state === AuthorizationState.FAILED) {
    const reason = flow.data?.reason ?? "";
    return (
      <>
        <div role="alert" className="failed"><p>{causeOf(reason) || "Nothing was connected."} <code>{reason}</code></p><p>{remedyOf(reason)}</p></div>
        <div className="buttons"><Button className="plain" onPress={close}>Close</Button></div>
      </>
    );
  }
  return (
    <>
      <p>
        {isOrganisation ? "An administrator of the organisation" : "The owner of the account"} signs in at the provider, here or on another
        device. The link works once, for ten minutes.
      </p>
      <p><a className="button" href={url} target="_blank" rel="noopener noreferrer">Sign in at the provider</a></p>
      <p role="status">Waiting for the provider…</p>
      {flow.isError && <Failed error={flow.error} />}
      <div className="buttons"><Button className="plain" onPress={close}>Cancel</Button></div>
    </>
  );
}
