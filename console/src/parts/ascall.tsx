// The call that a page shows, to copy as a command.
import type { DescMessage } from "@bufbuild/protobuf";
import { commandsOf, type Call } from "../commands.js";
import { Copy } from "./controls.js";

export function AsCall<Input extends DescMessage>({ method, request }: Call<Input>) {
  const { curl, grpcurl } = commandsOf({ method, request }, new URL(window.location.origin));
  return (
    <div className="calls" role="group" aria-label="This page as a command">
      {curl && <Copy name="Copy as curl" text={curl} />}
      <Copy name="Copy as grpcurl" text={grpcurl} />
    </div>
  );
}
