// Signing in and out. The key is held while it is sent, and nowhere after that; the cookie is out of this page's reach.
import { createContext, useContext, useState, type FormEvent, type ReactNode } from "react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Button, Form } from "react-aria-components";
import { Role } from "../../gen/ts/mailmesh/access/v1/access_pb.js";
import type { ApiKey } from "../../gen/ts/mailmesh/vault/v1/api_key_service_pb.js";
import type { Session } from "../../gen/ts/mailmesh/vault/v1/session_service_pb.js";
import { sessions, signIns } from "./api.js";
import { failureOf } from "./failure.js";
import { Field } from "./parts/controls.js";
import { Failed } from "./parts/show.js";

const KeyContext = createContext<ApiKey | undefined>(undefined);
const SessionContext = createContext<Session | undefined>(undefined);
export const SESSION = ["session"];

export function useMayOperate(): boolean {
  return (useContext(KeyContext)?.role ?? Role.UNSPECIFIED) >= Role.OPERATOR;
}

export function useKey(): ApiKey | undefined {
  return useContext(KeyContext);
}

export function useSession(): Session | undefined {
  return useContext(SessionContext);
}

export function useMayAdminister(): boolean {
  return (useContext(KeyContext)?.role ?? Role.UNSPECIFIED) >= Role.ADMIN;
}

export function SignedIn({ children }: { children: ReactNode }) {
  const session = useQuery({ queryKey: SESSION, queryFn: () => sessions.getSession({}), retry: 0, staleTime: 60_000 });
  if (session.isPending) return <p role="status" className="waiting">Reading…</p>;
  if (session.isError) {
    if (!failureOf(session.error).isSignedOut) return <main><Failed error={session.error} retry={() => void session.refetch()} /></main>;
    return <SignIn />;
  }
  return <KeyContext value={session.data.apiKey}><SessionContext value={session.data.session}>{children}</SessionContext></KeyContext>;
}

class CookieRefused extends Error {}

async function signIn(key: string): Promise<void> {
  await sessions.createSession({}, { headers: { authorization: `Bearer ${key.trim()}` } });
  try {
    await sessions.getSession({});
  } catch (error) {
    if (failureOf(error).isSignedOut) throw new CookieRefused();
    throw error;
  }
}

function SignIn() {
  const client = useQueryClient();
  const [key, setKey] = useState("");
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  // The provider of the organisation's own accounts, where one is set. Without an answer the key still signs in.
  const offer = useQuery({ queryKey: ["sign-in"], queryFn: () => signIns.getSignIn({}), retry: 0 });
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    try {
      await signIn(key);
      setKey("");
      await client.resetQueries();
    } catch (failure) {
      setError(failure);
    }
    setBusy(false);
  };
  return (
    <main className="signin">
      <h1>mailmesh console</h1>
      {offer.data?.isOffered && (
        <p><a className="button primary" href="/auth/oauth/sign-in">Sign in with {offer.data.name}</a></p>
      )}
      <Form onSubmit={(event) => void submit(event)}>
        <Field label="API key" type="password" value={key} set={setKey} isRequired autoFocus />
        <Button type="submit" className="primary" isDisabled={isBusy}>Sign in</Button>
      </Form>
      {error instanceof CookieRefused ? (
        <p role="alert" className="failed">The browser does not keep the session's cookie. Open the console by https, or on this machine.</p>
      ) : error !== undefined && <Failed error={error} />}
      <p className="faint">
        The key is traded for a session and is not stored in the browser. <code>mailmesh up</code> prints the file of an admin key;{" "}
        <code>mailmesh keys create NAME</code> makes another one.
      </p>
    </main>
  );
}

// Signs out here or everywhere, by whether it is called with true. A failure leaves the session as it is.
export function useSignOut() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (everywhere: boolean) => sessions.endSession({ everywhere }),
    onSuccess: () => {
      client.clear();
      // The whole page goes, and with it all that it has read.
      window.location.reload();
    },
  });
}
