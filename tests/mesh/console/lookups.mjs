// Walks through what people look up and decide: search, threads, workflows, sessions, bulk retries, organisations, commands.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { person, signIn, visit } from "./browser.mjs";
import { check, walk } from "./steps.mjs";

const { given, url, browser, page, context, step, consent, button, table, dialog } = await walk();
const run = promisify(execFile);
// The text of a label holds the options too, so that only its own words can be exact.
const choice = (name) => dialog().locator("label.choice", { has: page.locator("span", { hasText: new RegExp(`^${name}$`) }) }).locator("select");

await signIn(page, url, given.key);

await step("search is enabled, and finds a mail with its words marked", async () => {
  await visit(page, url, "#/search");
  await page.getByLabel("Account").selectOption(given.tenant);
  await page.getByLabel("Words").fill("monday parcel");
  await page.getByRole("search").getByRole("button", { name: "Search" }).click();
  await button("Enable search").click();
  await page.waitForFunction(() => /Indexed mails: [1-9]/.test(document.body.textContent));
  await page.reload();
  const hit = table("Found mails").getByRole("row", { name: /Where is my parcel/ });
  await hit.waitFor();
  check((await hit.locator("mark").allInnerTexts()).join().toLowerCase().includes("monday"), await hit.innerHTML());
  check(page.url().includes("query=monday+parcel"), page.url());
  await page.getByLabel("Words").fill("xylophone");
  await page.getByLabel("Words").press("Enter");
  await page.getByText("No mail fits.").waitFor();
  await page.getByLabel("Words").fill("-only");
  await page.getByLabel("Words").press("Enter");
  await page.getByText("SEARCH_QUERY_INVALID").waitFor();
});

await step("an event leads to its thread", async () => {
  await visit(page, url, `#/events?from=earliest&tenant=${given.tenant}&type=mail.*`);
  await table("Events").getByRole("link", { name: "mail.created" }).first().click();
  await button("Show the thread").click();
  await table("Thread").getByText("this event").waitFor();
});

await step("a workflow that waits for a person gets an answer, and ends", async () => {
  await visit(page, url, "#/workflows");
  const waiting = page.getByRole("table", { name: "Runs that wait for a person" });
  await waiting.locator(`a[href$="${given.run}"]`).click();
  await page.getByLabel("Question of the workflow").getByText("go on").waitFor();
  await page.getByLabel("Answer").fill("yes, please");
  await button("Answer and continue").click();
  await page.locator(".title").getByText("succeeded").waitFor();
  await visit(page, url, "#/workflows?state=5&workflow=wait");
  await page.getByText("No run fits these filters.").waitFor();
});

await step("another browser's session is listed and ended", async () => {
  const other = await person(browser, url);
  await signIn(other.page, url, given.other.key);
  await visit(page, url, "#/keys");
  await table("Sessions").getByText("this browser").waitFor();
  const theirs = table("Sessions").getByRole("row", { name: new RegExp(given.other.name) });
  await theirs.getByRole("button", { name: "End" }).click();
  await dialog().getByRole("button", { name: "End", exact: true }).click();
  await theirs.waitFor({ state: "detached" });
  await other.page.waitForFunction(async () => (await fetch("/v1/sessions/current")).status === 401, undefined, { polling: 500 });
  await other.page.reload();
  await other.page.getByLabel("API key").waitFor();
  await other.context.close();
});

await step("dead letters are grouped by reason over all of them, and retried by group", async () => {
  await visit(page, url, `#/dead-letters?tenant=${given.long.tenant}`);
  const group = table("By reason").getByRole("row", { name: new RegExp(given.many.reason) });
  await group.getByRole("cell", { name: String(given.many.count), exact: true }).waitFor();
  check((await table("Dead letters").getByRole("row").count()) < given.many.count, "the list shows all of them");
  await group.getByRole("button", { name: "Retry these" }).click();
  await dialog().getByText(`${given.many.count} dead letters fit the filters.`).waitFor();
  await button("Close").click();
  await group.getByRole("link", { name: given.many.reason }).click();
  check(page.url().includes(`reason=${given.many.reason}`), page.url());
  await page.getByRole("link", { name: "Show all reasons" }).click();
  check(!page.url().includes("reason="), page.url());
});

await step("a bulk retry shows its progress and is cancelled", async () => {
  await visit(page, url, `#/dead-letters?reason=${given.many.reason}&tenant=${given.long.tenant}`);
  await table("Dead letters").getByText(given.many.reason).first().waitFor();
  await page.route(/RetryDeadLetters/, async (route) => {
    await new Promise((resolve) => { setTimeout(resolve, 1_500); });
    await route.continue();
  });
  await button("Retry all that fit").click();
  await dialog().getByText(`${given.many.count} dead letters fit the filters.`).waitFor();
  await dialog().getByRole("button", { name: "Retry", exact: true }).click();
  await dialog().getByText(new RegExp(`^25 of ${given.many.count} `)).waitFor();
  check((await dialog().getByRole("progressbar").getAttribute("value")) === "25", "the bar has another value");
  await button("Cancel the rest").click();
  await dialog().getByText(/^(25|50) dead letters are retried; the others stay\.$/).waitFor();
  await button("Close").click();
  await page.unroute(/RetryDeadLetters/);
});

await step("a mailbox of an organisation is connected without its owner", async () => {
  await visit(page, url, "#/accounts");
  await button("Connect an account").click();
  await dialog().getByLabel("How").selectOption("organisation");
  await button("Admit another organisation").click();
  await dialog().getByLabel("Directory (tenant) id").fill(given.organisation.directory);
  await dialog().getByLabel("Mailboxes").fill(given.organisation.mailbox);
  await button("Continue").click();
  await consent(await page.getByRole("link", { name: "Sign in at the provider" }).getAttribute("href"), given.organisation.administrator);
  await page.getByText("The organisation has admitted the app.").waitFor();
  await button("Close").click();
  await button("Connect an account").click();
  await dialog().getByLabel("How").selectOption("organisation");
  await choice("Organisation").selectOption(given.organisation.directory);
  await choice("Mailbox").selectOption({ label: given.organisation.mailbox });
  await dialog().getByRole("button", { name: "Connect", exact: true }).click();
  await dialog().getByText("is connected.").waitFor();
  await page.getByRole("link", { name: "Show the account" }).click();
  await page.getByRole("heading", { name: given.organisation.mailbox }).waitFor();
});

await step("the copied commands do what the page does", async () => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: url });
  const environment = { env: { ...process.env, MAILMESH_API_KEY: given.key, PATH: `${given.tools}:${process.env.PATH}` }, timeout: 60_000 };
  for (const [hash, field] of [["accounts?provider=ms365", "tenants"], [`dead-letters?tenant=${given.tenant}`, "deadLetters"], [`change/${given.correlation}?tenant=${given.tenant}`, "events"]]) {
    await visit(page, url, `#/${hash}`);
    for (const name of ["Copy as curl", "Copy as grpcurl"]) {
      await button(name).first().click();
      const command = await page.evaluate(() => navigator.clipboard.readText());
      const { stdout } = await run("sh", ["-c", command], environment);
      check(Array.isArray(JSON.parse(stdout)[field] ?? []), `${command}\n${stdout}`);
      check(field !== "tenants" || JSON.parse(stdout).tenants.every((one) => one.provider === "ms365"), stdout);
      await button("Copied").waitFor({ state: "detached" });
    }
  }
});

await step("the graphs of the health page follow the mesh", async () => {
  await visit(page, url, "#/health");
  await page.getByRole("img", { name: /Notifications that wait: \d/ }).locator("polyline").waitFor({ state: "attached" });
  await table("Subscriptions").getByText("ms365").first().waitFor();
  await page.getByText("Refreshes of tokens that are due").waitFor();
});

await browser.close();
