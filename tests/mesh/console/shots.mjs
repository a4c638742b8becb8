// Takes pictures of the pages of a running mesh: wide, narrow and dark.
import { readFileSync } from "node:fs";
import { NARROW, WIDE, open, person, signIn, visit } from "./browser.mjs";

const given = JSON.parse(readFileSync(0, "utf8"));
const { url, key } = given;
const folder = process.argv[2];
const LOOKS = [["wide", WIDE, "light"], ["narrow", NARROW, "light"], ["dark", WIDE, "dark"]];
const browser = await open(given.chromium);
const { page } = await person(browser, url);

async function shoot(name) {
  for (const [look, size, colorScheme] of LOOKS) {
    await page.setViewportSize(size);
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: `${folder}/${name}-${look}.png` });
  }
  await page.setViewportSize(WIDE);
  console.log(JSON.stringify({ step: name, error: "" }));
}

await page.goto(`${url}/console/`);
await page.getByLabel("API key").waitFor();
await shoot("sign-in");
await signIn(page, url, key);
for (const name of ["accounts", "dead-letters", "endpoints", "sends", "calendars", "search", "workflows", `conversations?tenant=${given.tenant}`, "change", "keys", "audit", "health", `accounts/${given.tenant}`]) {
  await visit(page, url, `#/${name}`);
  await shoot(name.split("/").length > 1 ? "account" : name.split("?")[0]);
}
await page.goto(`${url}/console/#/calendars`);
await page.getByRole("button", { name: "Follow", exact: true }).first().click();
await page.getByRole("row", { name: /Daily round/ }).waitFor({ timeout: 120_000 });
await shoot("calendars");
await visit(page, url, "#/conversations");
await page.getByRole("link", { name: "Where is my parcel?" }).click();
await page.getByRole("region", { name: "Messages" }).getByRole("table").waitFor();
await shoot("conversation");
await visit(page, url, "#/workflows");
await page.getByRole("table", { name: "Runs", exact: true }).getByRole("link", { name: "wait" }).first().click();
await page.getByLabel("Question of the workflow").waitFor();
await shoot("workflow");
await visit(page, url, `#/search?tenant=${given.tenant}&query=parcel`);
const enable = page.getByRole("button", { name: "Enable search" });
if (await enable.isVisible()) await enable.click();
await page.waitForFunction(() => /Indexed mails: [1-9]/.test(document.body.textContent));
await page.reload();
await page.getByRole("table", { name: "Found mails" }).waitFor();
await shoot("search");
await visit(page, url, "#/events?from=earliest");
await page.getByRole("table", { name: "Events" }).waitFor();
await shoot("events");
await page.getByRole("table", { name: "Events" }).getByRole("link", { name: /^mail\./ }).first().click();
await page.getByRole("region", { name: "Normalized" }).waitFor();
await shoot("event");
await page.locator('dl a[href^="#/change/"]').click();
await page.getByRole("table", { name: "Steps" }).waitFor();
await shoot("one-change");
await visit(page, url, "#/endpoints");
await page.getByRole("button", { name: "Add an endpoint" }).click();
await page.getByRole("dialog").getByLabel("Token endpoint").fill("https://id.example.com/token");
await shoot("endpoint-new");
await page.getByRole("dialog").getByLabel("Address").fill(given.receiver);
await page.getByRole("dialog").getByLabel("Client ID").fill("shots");
await page.getByRole("dialog").getByLabel("Client secret").fill("the secret");
await page.getByRole("button", { name: "Add", exact: true }).click();
await page.getByRole("button", { name: "Done" }).click();
await page.getByRole("link", { name: given.receiver }).click();
await page.getByRole("button", { name: "Access" }).click();
await shoot("endpoint-access");
await page.getByRole("button", { name: "Cancel" }).click();
await visit(page, url, "#/accounts");
await page.getByRole("button", { name: "Connect an account" }).click();
await page.getByRole("dialog").waitFor();
await shoot("connect");
await page.getByRole("dialog").getByLabel("How").selectOption("shared");
await page.getByRole("dialog").getByLabel("Address of the mailbox").waitFor();
await shoot("connect-shared");
await page.getByRole("dialog").getByLabel("How").selectOption("organisation");
await page.getByRole("button", { name: "Admit another organisation" }).click();
await page.getByRole("dialog").getByLabel("Mailboxes").waitFor();
await shoot("connect-organisation");
await page.getByRole("button", { name: "Cancel" }).click();
await visit(page, url, "#/dead-letters");
await page.getByRole("button", { name: "Retry all that fit" }).click();
await page.getByRole("dialog").getByText("dead letters fit the filters").waitFor();
await shoot("dead-letters-retry");
await browser.close();
