// The rules of following, which are the same in every client: clients/README.md states them.

import { Code } from "@connectrpc/connect";
import type { MessageInitShape } from "@bufbuild/protobuf";

import type { MailmeshError } from "./errors.js";
import { EventView, type Event } from "./gen/mailmesh/processor/v1/event_pb.js";
import type { EventFilterSchema, StreamEventsResponse } from "./gen/mailmesh/processor/v1/event_service_pb.js";

const PASSING = new Set([
  "OVERLOADED",
  "RATE_LIMITED",
  "READER_TOO_SLOW",
  "SERVICE_UNAVAILABLE",
  "SHUTTING_DOWN",
  "STORE_UNAVAILABLE",
]);
// The codes of a broken connection or of a proxy on the way, as far as no reason says more.
const BROKEN = new Set([Code.Aborted, Code.Canceled, Code.DeadlineExceeded, Code.Internal, Code.Unknown]);
const LONGEST_RETRY_AFTER_MS = 300_000;
const MOST_DOUBLINGS = 30;

/** How to follow the stream. */
export interface FollowOptions {
  /** Where a follower without a saved cursor starts; default "earliest". */
  start?: "earliest" | "latest";
  /** The events to receive; default all that the key may see. */
  filter?: MessageInitShape<typeof EventFilterSchema>;
  /** How much of each event to receive; default `EventView.BASIC`. */
  view?: EventView;
  /**
   * The longest silence that is asked for, 1 to 60; default 15. After three times as long without a message the stream counts
   * as broken.
   */
  heartbeatSeconds?: number;
  /** The pause after the first failure in a row; default 200. It doubles up to `longestPauseMs`. */
  firstPauseMs?: number;
  /** The bound of the pauses; default 30000. */
  longestPauseMs?: number;
  /**
   * Called when events after the cursor are gone, before reading continues from the oldest one. Without it, the failure ends
   * following.
   */
  onGap?: (lost: MailmeshError) => void;
  /** Ends following. */
  signal?: AbortSignal;
}

/** The options with their defaults. */
export class Rules {
  readonly start: string;
  readonly request: { filter?: MessageInitShape<typeof EventFilterSchema>; view: EventView; heartbeatSeconds: number };
  readonly silenceMs: number;

  constructor(private readonly options: FollowOptions) {
    const { start = "earliest", filter, view = EventView.BASIC, heartbeatSeconds = 15 } = options;
    this.start = start;
    this.request = { ...(filter && { filter }), view, heartbeatSeconds };
    this.silenceMs = heartbeatSeconds * 3000;
  }

  /** Returns the pause after this many failures in a row; mailmesh may ask for a longer one. */
  pauseMs(failures: number, error?: MailmeshError): number {
    const { firstPauseMs = 200, longestPauseMs = 30_000 } = this.options;
    const doubled = firstPauseMs * 2 ** Math.min(failures - 1, MOST_DOUBLINGS);
    const pause = Math.min(doubled, longestPauseMs) * (0.5 + Math.random() / 2);
    return Math.max(pause, Math.min(error?.retryAfterMs ?? 0, LONGEST_RETRY_AFTER_MS));
  }

  /** Returns the cursor with which to open the stream again, or throws the failure that another attempt does not fix. */
  cursorAfter(error: MailmeshError, cursor: string): string {
    if (error.isCursorLost && this.options.onGap && error.oldestCursor) {
      this.options.onGap(error);
      return error.oldestCursor;
    }
    if (!error.isCursorLost && isPassing(error)) return cursor;
    throw error;
  }
}

function isPassing({ reason, code, retryAfterMs }: MailmeshError): boolean {
  if (PASSING.has(reason) || code === Code.Unavailable || retryAfterMs !== undefined) return true;
  return !reason && BROKEN.has(code);
}

/** Returns the position after a step, and its event unless it has none of a known kind. */
export function stepOf({ step }: StreamEventsResponse): [string, Event | undefined] {
  if (step.case === undefined) return ["", undefined];
  if (step.case === "heartbeat") return [step.value.position, undefined];
  return [step.value.position, step.value.kind.case === undefined ? undefined : step.value];
}
