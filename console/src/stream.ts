// The stored events. The stream is read forwards and may be very long, so a search begins shortly before a time and goes back
// in ever longer steps, until it has found enough or has read as many events as one search may.
import { EventView } from "../../gen/ts/mailmesh/processor/v1/event_pb.js";
import { events } from "./api.js";
import { rowOf, type Row } from "./eventrow.js";

const PAGE = 1000;
const PAGES = 10;
export const MOST_ROWS = (PAGE * PAGES).toLocaleString("en");
export const EARLIEST = "earliest";
const HOUR = 3_600_000;
// How far before its time a search begins, step by step; the last step begins with the oldest event that is kept.
const BACK = [HOUR / 12, HOUR, 24 * HOUR, 7 * 24 * HOUR, 31 * 24 * HOUR, Infinity];

// The request for a page of events of a tenant, or of all, behind a cursor.
export function pageFrom(tenantId: string, cursor: string) {
  return { cursor, filter: { tenantIds: tenantId ? [tenantId] : [] }, pageSize: PAGE, view: EventView.BASIC };
}

export interface Rows {
  rows: Row[];
  // The cursor behind the last row where more events may follow, else empty.
  next: string;
}

// The stored events of a tenant, or of all, behind a cursor and before a position that is known already, 10,000 at most.
export async function storedRows(tenantId: string, from: string, signal: AbortSignal, stop = ""): Promise<Rows> {
  const rows: Row[] = [];
  let cursor = from;
  for (let page = 0; page < PAGES; page += 1) {
    const answer = await events.listEvents(pageFrom(tenantId, cursor), { signal });
    for (const row of answer.events.map(rowOf)) {
      if (row && row.position === stop) return { rows, next: "" };
      if (row) rows.push(row);
    }
    if (!answer.hasMore) return { rows, next: "" };
    cursor = answer.nextCursor;
  }
  return { rows, next: cursor };
}

// A place where a search begins: a cursor to go on from, or the steps before a time that were not read yet.
export interface Place {
  at: number;
  step: number;
  cursor: string;
  // The position of the first event that was read already, at which this part ends; empty where it ends with the stream.
  stop: string;
  // The place of the events before, where this one is the rest of a part.
  then: Place | null;
}

export interface Part {
  rows: Row[];
  // The place of the events before this part; null where none are stored.
  earlier: Place | null;
  // The place of the rest of this part, where it was too long.
  rest: Place | null;
}

export function placeBefore(at: number): Place {
  return { at, step: 0, cursor: "", stop: "", then: null };
}

export function cursorOf({ at, step, cursor }: Place): string {
  const back = BACK[step] ?? Infinity;
  return cursor || (Number.isFinite(back) ? new Date(at - back).toISOString() : EARLIEST);
}

// The time from which a part has all events, apart from its rest; nothing where that is the oldest event on.
export function searchedFrom({ earlier }: Part): Date | undefined {
  return earlier ? new Date(cursorOf({ ...earlier, step: earlier.step - 1 })) : undefined;
}

// Read on from a place, step by step, until the rows are enough, a step is too long, or nothing older is stored.
export async function partOf(tenantId: string, place: Place, isEnough: (rows: Row[]) => boolean, signal: AbortSignal): Promise<Part> {
  let rows: Row[] = [];
  for (let { step, stop } = place; ; step += 1) {
    const read = await storedRows(tenantId, cursorOf({ ...place, step }), signal, stop);
    rows = [...read.rows, ...rows];
    const first = read.rows[0]?.position ?? stop;
    const isRest = place.cursor !== "";
    const earlier = isRest || step + 1 >= BACK.length ? place.then : { ...place, step: step + 1, stop: first };
    const rest = read.next ? { ...place, step, cursor: read.next, stop, then: earlier } : null;
    if (isRest || rest || !earlier || isEnough(rows)) return { rows, earlier, rest };
    stop = first;
  }
}
