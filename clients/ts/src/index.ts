// Client of mailmesh. The messages and services of the contract are in `mailmesh-client/gen/...`.

export { connect, type ConnectOptions } from "./connect.js";
export { type CursorStore, FileCursorStore, MemoryCursorStore } from "./cursors.js";
export { errorOf, MailmeshError } from "./errors.js";
export { follow } from "./follow.js";
export { type FollowOptions } from "./rules.js";
export { type Outcome, verifyWebhook } from "./webhooks.js";
