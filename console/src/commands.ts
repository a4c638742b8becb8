// A call as a command line of curl and of grpcurl, from the contract's own rules of the RPC.
import { create, getOption, hasOption, toJson, type DescMessage, type DescMethod, type JsonValue, type MessageInitShape } from "@bufbuild/protobuf";
import { http } from "../../gen/ts/google/api/annotations_pb.js";

export interface Commands {
  curl: string;
  grpcurl: string;
}

export interface Call<Input extends DescMessage = DescMessage> {
  method: DescMethod & { input: Input };
  request: MessageInitShape<Input>;
}

type Fields = Record<string, JsonValue>;

// The key stays out of the commands: both read it from the environment of the shell.
const KEY = "Bearer $MAILMESH_API_KEY";

// A word of a POSIX shell, whatever it contains.
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

// JSON in ASCII alone: a character that turns the direction, or that a terminal obeys, stays an escape.
function jsonOf(fields: Fields): string {
  return JSON.stringify(fields).replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

export function commandsOf<Input extends DescMessage>({ method, request }: Call<Input>, origin: URL): Commands {
  const fields = toJson(method.input, create(method.input, request)) as Fields;
  const data = Object.keys(fields).length > 0 ? ` -d ${quoted(jsonOf(fields))}` : "";
  const [plaintext, usual] = origin.protocol === "http:" ? [" -plaintext", "80"] : ["", "443"];
  const port = origin.port || usual;
  return {
    curl: curl(method, fields, origin),
    grpcurl: `grpcurl${plaintext} -H "authorization: ${KEY}"${data} ${origin.hostname}:${port} ${method.parent.typeName}/${method.name}`,
  };
}

function curl(method: DescMethod, fields: Fields, origin: URL): string {
  const rule = hasOption(method, http) ? getOption(method, http) : undefined;
  if (rule === undefined || rule.pattern.case === undefined || rule.pattern.case === "custom") return "";
  const rest = { ...fields };
  const path = rule.pattern.value.replace(/\{(\w+)\}/g, (_, name: string) => {
    const key = name.replace(/_(\w)/g, (__, letter: string) => letter.toUpperCase());
    const value = String(rest[key] ?? "");
    delete rest[key];
    return encodeURIComponent(value);
  });
  const head = `curl -H "Authorization: ${KEY}"`;
  if (rule.body === "*") {
    return `${head} -X ${rule.pattern.case.toUpperCase()} -H "Content-Type: application/json" -d ${quoted(jsonOf(rest))} ${quoted(origin.origin + path)}`;
  }
  const query = new URLSearchParams(parameters(rest, "")).toString();
  return `${head} ${quoted(`${origin.origin}${path}${query ? `?${query}` : ""}`)}`;
}

// Fields of messages within the request are parameters with dots, and lists are repeated parameters.
function parameters(fields: Fields, prefix: string): [string, string][] {
  return Object.entries(fields).flatMap(([name, value]): [string, string][] => {
    if (Array.isArray(value)) return value.map((one) => [prefix + name, String(one)]);
    if (typeof value === "object" && value !== null) return parameters(value as Fields, `${prefix}${name}.`);
    return [[prefix + name, String(value)]];
  });
}
