// How values are shown.
import { useSyncExternalStore, type ReactNode } from "react";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { type Failure, causeOf, failureOf, remedyOf } from "../failure.js";
import { absolute, dateOf, plain, relative } from "../text.js";

const SHORT = 300;
// The column of buttons, whose head is for screen readers alone.
export const ACTIONS = "Actions";

// Text from outside, with a direction of its own and a bounded length.
export function Outside({ text, most = SHORT }: { text: string; most?: number }) {
  return <bdi className="outside">{plain(text, most)}</bdi>;
}

export function Id({ value }: { value: string }) {
  return <code className="id">{plain(value, 64)}</code>;
}

// One clock for all times of a page: a long list has one of each row.
const TICK_MS = 10_000;
let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;
const listeners = new Set<() => void>();

function tick(): void {
  now = Date.now();
  for (const changed of listeners) changed();
}

function listen(changed: () => void): () => void {
  if (listeners.size === 0) timer = setInterval(tick, TICK_MS);
  listeners.add(changed);
  return () => {
    listeners.delete(changed);
    if (listeners.size === 0) clearInterval(timer);
  };
}

// The time of the last tick; of now, where it is older than a tick because no time was shown.
function clock(): number {
  if (Date.now() - now >= TICK_MS) now = Date.now();
  return now;
}

function useNow(): number {
  return useSyncExternalStore(listen, clock);
}

export function Time({ at }: { at: Timestamp | undefined }) {
  const now = useNow();
  const date = dateOf(at);
  if (!date) return <span className="faint">never</span>;
  return (
    <time dateTime={date.toISOString()}>
      {relative(date, date.getTime() > now ? Date.now() : now)} <span className="faint">{absolute(date)}</span>
    </time>
  );
}

const TONES: Record<string, string> = {
  active: "good", delivered: "good", sent: "good", drafted: "good", "token expired": "good", connected: "good",
  "needs reauthorization": "bad", error: "bad", failed: "bad", uncertain: "bad", gone: "bad", disabled: "bad",
  failing: "warn", polling: "warn", suspended: "warn", paused: "warn", disconnecting: "warn",
};

export function State({ word }: { word: string }) {
  return <span className={`state ${TONES[word] ?? "calm"}`}>{plain(word, 40)}</span>;
}

export function Reason({ reason, detail }: { reason: string; detail: string }) {
  if (!reason && !detail) return null;
  const remedy = remedyOf(reason) || causeOf(reason);
  return (
    <span className="reason">
      {reason && <code>{plain(reason, 80)}</code>} <Outside text={detail} />{" "}
      {remedy && <span className="faint">{remedy}</span>}
    </span>
  );
}

export function Failed({ error, retry }: { error: unknown; retry?: () => void }) {
  const failure: Failure = failureOf(error);
  return (
    <div role="alert" className="failed">
      <p><strong>{plain(failure.message, SHORT)}</strong> <code>{plain(failure.reason, 80)}</code></p>
      {failure.remedy && <p>{failure.remedy}</p>}
      {retry && <button type="button" onClick={retry}>Try again</button>}
    </div>
  );
}

export function Empty({ children }: { children: ReactNode }) {
  return <div className="empty">{children}</div>;
}

export function Facts({ rows }: { rows: [string, ReactNode][] }) {
  return (
    <dl className="facts">
      {rows.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}
    </dl>
  );
}

// A table that becomes a list of cards on a narrow screen: each cell repeats the name of its column there.
export function Table({ label, columns, rows }: { label: string; columns: string[]; rows: { key: string; cells: ReactNode[] }[] }) {
  return (
    <table aria-label={label}>
      <thead><tr>{columns.map((column) => <th key={column} scope="col">{column === ACTIONS ? <span className="unseen">{column}</span> : column}</th>)}</tr></thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.key}>{row.cells.map((cell, at) => <td key={columns[at]} data-label={columns[at] === ACTIONS ? "" : columns[at]}>{cell}</td>)}</tr>
        ))}
      </tbody>
    </table>
  );
}
