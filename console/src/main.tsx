import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { App } from "./app.js";
import { failureOf } from "./failure.js";
import { SESSION, SignedIn } from "./session.js";

// A session that has ended shows the way back in, whichever call noticed it.
function noticed(error: unknown): void {
  if (failureOf(error).isSignedOut) void client.invalidateQueries({ queryKey: SESSION });
}

const client = new QueryClient({
  queryCache: new QueryCache({ onError: (error, query) => { if (query.queryKey[0] !== SESSION[0]) noticed(error); } }),
  mutationCache: new MutationCache({ onError: noticed }),
  defaultOptions: { queries: { retry: 0, staleTime: 2_000, refetchOnWindowFocus: true } },
});

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={client}><SignedIn><App /></SignedIn></QueryClientProvider>
    </StrictMode>,
  );
}
