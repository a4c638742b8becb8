// The place in the console, in the address's fragment: `#/events/ID?tenant=...`. The server never sees it, and a copied
// address shows the same page with the same filters.
import { useSyncExternalStore } from "react";

export interface Route {
  path: string[];
  query: URLSearchParams;
}

export function parse(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  return { path: path.split("/").filter(Boolean).map(decoded), query: new URLSearchParams(query) };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function href(path: string[], query: Record<string, string> = {}): string {
  const filled = Object.entries(query).filter(([, value]) => value !== "");
  const text = new URLSearchParams(filled).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

export function go(path: string[], query: Record<string, string> = {}): void {
  window.location.hash = href(path, query);
}

function listen(changed: () => void): () => void {
  window.addEventListener("hashchange", changed);
  return () => window.removeEventListener("hashchange", changed);
}

export function useRoute(): Route {
  return parse(useSyncExternalStore(listen, () => window.location.hash));
}

// A filter in the address. Typing replaces the entry in the history, so that "back" leaves the page.
export function useFilter(name: string): [string, (value: string) => void] {
  const route = useRoute();
  const set = (value: string) => {
    const now = parse(window.location.hash);
    const query = { ...Object.fromEntries(now.query), [name]: value };
    window.history.replaceState(null, "", href(now.path, query));
    window.dispatchEvent(new HashChangeEvent("hashchange"));
  };
  return [route.query.get(name) ?? "", set];
}
