// A failed call in the catalogue's words.
import { Code, ConnectError } from "@connectrpc/connect";
import words from "catalogue";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/ts/google/rpc/error_details_pb.js";

export interface Failure {
  reason: string;
  message: string;
  remedy: string;
  isSignedOut: boolean;
}

export function remedyOf(reason: string): string {
  return words[reason]?.[1] ?? "";
}

export function causeOf(reason: string): string {
  return words[reason]?.[0] ?? "";
}

export function failureOf(error: unknown): Failure {
  const failed = ConnectError.from(error);
  const reason = failed.findDetails(ErrorInfoSchema)[0]?.reason ?? Code[failed.code]?.toUpperCase() ?? "UNKNOWN";
  const fields = failed.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations);
  const named = fields.map((field) => `${field.field}: ${field.description}`).join("; ");
  return {
    reason,
    message: named || failed.rawMessage || causeOf(reason) || "The call failed.",
    remedy: remedyOf(reason) || (failed.code === Code.Unavailable ? "Try again in a few seconds." : ""),
    isSignedOut: failed.code === Code.Unauthenticated,
  };
}
