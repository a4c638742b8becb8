// Follows the event stream through outages.

import { setTimeout as sleep } from "node:timers/promises";

import { type Client, createClient, type Transport } from "@connectrpc/connect";

import type { CursorStore } from "./cursors.js";
import { errorOf, type MailmeshError } from "./errors.js";
import type { Event } from "./gen/mailmesh/processor/v1/event_pb.js";
import { EventService } from "./gen/mailmesh/processor/v1/event_service_pb.js";
import { type FollowOptions, Rules, stepOf } from "./rules.js";

/**
 * Yields the events behind the saved cursor, until the signal of the options.
 *
 * The cursor of an event is saved when the next event is asked for: an event whose processing fails is delivered again, with the
 * same id.
 *
 * @throws MailmeshError A failure that another attempt does not fix, such as a refused key or a lost cursor.
 */
export async function* follow(
  transport: Transport,
  store: CursorStore,
  options: FollowOptions = {},
): AsyncGenerator<Event, void, undefined> {
  const rules = new Rules(options);
  const client = createClient(EventService, transport);
  let cursor = (await store.load()) || rules.start;
  for (let failures = 1; !options.signal?.aborted; failures += 1) {
    const stream = new Stream(client, cursor, rules, options.signal);
    let error: MailmeshError | undefined;
    try {
      for (;;) {
        const step = await stream.next();
        if (!step) break;
        failures = 0;
        const [position, event] = step;
        if (event) yield event;
        if (!position) continue;
        cursor = position;
        await store.save(position);
      }
    } finally {
      stream.close();
    }
    if (options.signal?.aborted) return;
    error = stream.error;
    if (error) cursor = rules.cursorAfter(error, cursor);
    await pause(rules.pauseMs(Math.max(failures, 1), error), options.signal);
  }
}

/** The stream, opened once. */
class Stream {
  error: MailmeshError | undefined;
  private readonly end = new AbortController();
  private readonly responses: AsyncIterator<Parameters<typeof stepOf>[0]>;
  private readonly stop = (): void => this.end.abort();

  constructor(
    client: Client<typeof EventService>,
    cursor: string,
    private readonly rules: Rules,
    private readonly signal: AbortSignal | undefined,
  ) {
    signal?.addEventListener("abort", this.stop);
    const responses = client.streamEvents({ cursor, ...rules.request }, { signal: this.end.signal });
    this.responses = responses[Symbol.asyncIterator]();
  }

  /** Returns the next step, or undefined when the stream ended, failed (see `error`), or was silent too long. */
  async next(): Promise<ReturnType<typeof stepOf> | undefined> {
    // Runs while the stream is waited for, and not while an event is processed.
    const silence = setTimeout(this.stop, this.rules.silenceMs);
    try {
      const { done, value } = await this.responses.next();
      return done ? undefined : stepOf(value);
    } catch (thrown) {
      if (!this.end.signal.aborted) this.error = errorOf(thrown);
      return undefined;
    } finally {
      clearTimeout(silence);
    }
  }

  /** Cancels the call. */
  close(): void {
    this.signal?.removeEventListener("abort", this.stop);
    this.end.abort();
  }
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(ms, undefined, signal ? { signal } : {});
  } catch (thrown) {
    if (!signal?.aborted) throw thrown;
  }
}
