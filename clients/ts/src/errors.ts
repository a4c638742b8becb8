// The failures of calls, by the reason that mailmesh gives.

import { Code, ConnectError } from "@connectrpc/connect";

import { ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";

const CURSOR_LOST = new Set(["CURSOR_EXPIRED", "CURSOR_EPOCH_CHANGED"]);
const KEY_REFUSED = new Set(["API_KEY_INVALID", "KEY_REVOKED"]);

/** A call that failed. */
export class MailmeshError extends Error {
  override readonly name = "MailmeshError";

  /**
   * @param reason A name of the catalogue `ErrorReason` without its prefix, or of a later one. Empty when the failure is not
   *   mailmesh's own: a broken connection, a proxy on the way.
   * @param code The code of gRPC.
   * @param metadata The values that the reason's entry in the catalogue names.
   * @param retryAfterMs The pause that mailmesh asks for.
   */
  constructor(
    message: string,
    readonly reason: string,
    readonly code: Code,
    readonly metadata: Readonly<Record<string, string>>,
    readonly retryAfterMs: number | undefined,
    cause?: unknown,
  ) {
    super(`${reason || Code[code]}: ${message}`, { cause });
  }

  /** Whether events after the cursor are gone; reading can continue from `oldestCursor`. */
  get isCursorLost(): boolean {
    return CURSOR_LOST.has(this.reason);
  }

  /** The oldest cursor that is still served, if the cursor is lost. */
  get oldestCursor(): string {
    return this.metadata["oldest_cursor"] ?? "";
  }

  /** Whether the API key is unknown, expired or revoked. */
  get isKeyRefused(): boolean {
    return KEY_REFUSED.has(this.reason);
  }
}

/** Returns the typed error of what a call has thrown. */
export function errorOf(thrown: unknown): MailmeshError {
  if (thrown instanceof MailmeshError) return thrown;
  const error = ConnectError.from(thrown);
  const info = error.findDetails(ErrorInfoSchema).find(({ domain }) => domain === "mailmesh");
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  const retryAfterMs = delay && Math.max(0, Number(delay.seconds) * 1000 + delay.nanos / 1e6);
  return new MailmeshError(error.rawMessage, info?.reason ?? "", error.code, info?.metadata ?? {}, retryAfterMs, thrown);
}
