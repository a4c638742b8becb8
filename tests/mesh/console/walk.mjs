// Walks through the pages of the console of a running mesh.
import { NARROW, WIDE, signIn, violations, visit } from "./browser.mjs";
import { check, walk } from "./steps.mjs";

const { given, url, browser, me, page, context, step, deliver, consent, button, table } = await walk();
const { key } = given;

await step("a wrong key is refused in the catalogue's words", async () => {
  await page.goto(`${url}/console/`);
  await page.getByLabel("API key").fill("mm_wrong");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").getByText("API_KEY_INVALID").waitFor();
  await page.getByRole("alert").getByText("Send a valid key").waitFor();
});

await step("signing in keeps the key out of the page's reach", async () => {
  await signIn(page, url, key);
  const stored = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
  check(stored === '[{},{},""]', stored);
  const cookie = (await context.cookies()).find((one) => one.name === "__Host-mailmesh-session");
  check(cookie?.httpOnly && cookie.secure && cookie.sameSite === "Strict", JSON.stringify(cookie));
});

for (const [provider, address] of Object.entries(given.accounts)) {
  await step(`an account of ${provider} is connected and subscribed`, async () => {
    await visit(page, url, "#/accounts");
    await button("Connect an account").click();
    await page.getByRole("dialog").getByLabel("Provider").selectOption(provider);
    await button("Continue").click();
    const link = page.getByRole("link", { name: "Sign in at the provider" });
    await consent(await link.getAttribute("href"), address);
    await page.getByText("The account is connected.").waitFor();
    await page.getByRole("link", { name: "Show the account" }).click();
    await page.getByRole("heading", { name: address }).waitFor();
    await button("Subscribe to the inbox").click();
    await table("Subscriptions").getByText("active", { exact: true }).waitFor();
  });
}

await step("a mail appears live, and its event shows both forms", async () => {
  await visit(page, url, "#/events");
  await page.getByRole("status").getByText("live").waitFor();
  await deliver(given.accounts.ms365, { subject: "Seen live", text: "The body of it" });
  const seen = table("Events").getByRole("row", { name: /Seen live/ });
  await seen.waitFor();
  await seen.getByRole("link", { name: "mail.created" }).click();
  await page.getByRole("heading", { name: "Seen live" }).waitFor();
  await page.getByLabel("Text of the mail").getByText("The body of it").waitFor();
  await page.getByRole("region", { name: "Normalized" }).getByText("internetMessageId").waitFor();
  await page.getByRole("region", { name: "Raw" }).getByText("Seen live").waitFor();
});

await step("hostile mail stays text, and nothing of it runs or leaves", async () => {
  await deliver(given.accounts.googlews, given.hostile);
  await visit(page, url, "#/events?from=earliest&provider=googlews");
  const seen = table("Events").getByRole("row", { name: /onerror/ }).first();
  await seen.waitFor();
  const shown = await seen.innerText();
  check(!/[\u202a-\u202e\u2066-\u2069]/.test(shown), "marks of direction are shown");
  check(shown.length < 2000, `${shown.length} characters are shown`);
  await seen.getByRole("link", { name: "mail.created" }).click();
  await page.getByText("HTML, without its styles").click();
  const frame = page.frameLocator("iframe[title='HTML of the mail']");
  await frame.getByText("Hello").waitFor();
  await frame.getByRole("link").click({ timeout: 5_000 }).catch(() => undefined);
  await page.waitForTimeout(1_000);
  // The page's policy says what it has refused; that is no fault of the page.
  const faults = me.faults.splice(0).filter((fault) => !/violates the following Content Security Policy|Blocked script execution|Blocked form submission|unsafe to load|Framing/.test(fault));
  check(faults.length === 0, faults.join("\n"));
  check(page.url().startsWith(`${url}/console/#/events/`), page.url());
  check(context.pages().length === 1, "a window has opened");
});

await step("an account is tested, disabled, enabled", async () => {
  await visit(page, url, "#/accounts?provider=ms365");
  await page.getByRole("link", { name: given.accounts.ms365 }).click();
  await button("Test").click();
  await page.getByText("The provider answered in").waitFor();
  await button("Close").click();
  await button("Disable").click();
  await page.locator(".title").getByText("disabled").waitFor();
  await button("Enable").click();
  await page.locator(".title").getByText("active", { exact: true }).waitFor();
});

await step("a dead letter is retried after the count", async () => {
  await visit(page, url, `#/dead-letters?reason=${given.dead.reason}`);
  await table("Dead letters").getByText(given.dead.reason).first().waitFor();
  await button("Retry all that fit").click();
  await page.getByText(/[1-9]\d* dead letters fit the filters/).waitFor();
  await button("Retry").last().click();
  await page.getByText(/[1-9]\d* dead letters are retried/).waitFor();
  await button("Close").click();
});

await step("an endpoint is added, tested and deleted", async () => {
  await visit(page, url, "#/endpoints");
  await button("Add an endpoint").click();
  await page.getByRole("dialog").getByLabel("Address").fill(given.receiver);
  await page.getByRole("dialog").getByLabel("Name").fill("Walk");
  await button("Add").click();
  check((await page.getByTestId("secret").innerText()).startsWith("whsec_"), "no signing key is shown");
  await button("Done").click();
  await page.getByRole("link", { name: "Walk" }).click();
  await button("Test").click();
  await page.getByRole("dialog").getByText(/delivered|failed/).waitFor();
  await button("Close").click();
  await button("Recover").click();
  await page.getByText("0 deliveries were given up.").waitFor();
  await button("Close").click();
  await button("Access").click();
  const dialog = page.getByRole("dialog");
  const pem = (name, text) => ({ name, mimeType: "application/x-pem-file", buffer: Buffer.from(text) });
  await dialog.getByLabel("Client certificate (PEM)").setInputFiles(pem("client.pem", given.identity.certificate));
  await button("Save").click();
  await dialog.getByRole("alert").getByText("belong together").waitFor();
  await dialog.getByLabel("Its private key (PEM)").setInputFiles(pem("other.pem", given.identity.other));
  await button("Save").click();
  await dialog.getByRole("alert").getByText("must be the certificate's private key").waitFor();
  await dialog.getByLabel("Its private key (PEM)").setInputFiles(pem("client.key", given.identity.key));
  await dialog.getByLabel("Token endpoint").fill("https://id.example.com/token");
  await dialog.getByLabel("Client ID").fill("walker");
  await dialog.getByLabel("Client secret").fill("the secret");
  await button("Save").click();
  await dialog.waitFor({ state: "detached" });
  await page.getByText("Client certificate ends").waitFor();
  await page.getByText("https://id.example.com/token").waitFor();
  await button("Access").click();
  await button("Remove the certificate").click();
  await button("Remove the credentials").click();
  await button("Remove the credentials").waitFor({ state: "detached" });
  await button("Cancel").click();
  await page.getByText("Client certificate ends").waitFor({ state: "detached" });
  await button("Pause").click();
  await page.locator(".title").getByText("paused").waitFor();
  await button("Delete").click();
  await page.getByRole("alertdialog").or(page.getByRole("dialog")).getByRole("button", { name: "Delete" }).click();
  await page.getByRole("heading", { name: "Endpoints" }).waitFor();
});

await step("a key is created, shown once and revoked", async () => {
  await visit(page, url, "#/keys");
  await button("Create a key").click();
  await page.getByRole("dialog").getByLabel("Name").fill("Walked");
  await button("Create").click();
  check((await page.getByTestId("secret").innerText()).startsWith("mm_"), "no key is shown");
  await button("Done").click();
  await page.getByRole("row", { name: /Walked/ }).getByRole("button", { name: "Revoke" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await page.getByRole("row", { name: /Walked/ }).waitFor({ state: "detached" });
});

await step("one change is followed from the event to its steps", async () => {
  await visit(page, url, `#/events?from=earliest&tenant=${given.tenant}`);
  await table("Events").getByRole("link", { name: "mail.created" }).first().click();
  await page.getByRole("region", { name: "Normalized" }).waitFor();
  await page.locator(`dl a[href^="#/change/"]`).click();
  await page.getByRole("heading", { name: "One change" }).waitFor();
  await table("Steps").getByText("Edge and Ingest: accepted").waitFor();
  await table("Steps").getByRole("link", { name: "mail.created" }).waitFor();
  check(/#\/change\/[0-9a-f-]{36}\?tenant=/.test(page.url()), page.url());
  const earlier = button("Search earlier events");
  for (let steps = 0; steps < 6 && await earlier.isVisible(); steps += 1) await earlier.click();
  await earlier.waitFor({ state: "detached" });
  await table("Steps").getByRole("link", { name: "mail.created" }).waitFor();
  await page.getByLabel("Correlation id").fill("00000000-0000-7000-8000-000000000000");
  await page.keyboard.press("Enter");
  await page.getByText("No stored event, dead letter or entry of the audit log has this id.").waitFor();
});

await step("the timeline of an account has its events and its entries of the audit log", async () => {
  await visit(page, url, `#/accounts/${given.tenant}`);
  await table("Timeline").getByRole("link", { name: "mail.created" }).first().waitFor();
  await table("Timeline").getByText("TokenVault: tenant.connect").first().waitFor();
  await table("Timeline").getByText("Ingest: dead letter").waitFor();
});

await step("a calendar is followed, shows today's meeting, and is left", async () => {
  await visit(page, url, `#/calendars?tenant=${given.calendar.tenant}`);
  await table("Calendars").getByText("available").waitFor();
  await button("Follow").click();
  const meeting = page.getByRole("row", { name: /Daily round/ });
  await meeting.waitFor();
  const link = meeting.getByRole("link", { name: /Join/ });
  check((await link.getAttribute("href")) === given.calendar.join, await link.getAttribute("href"));
  check((await link.getAttribute("rel")) === "noopener noreferrer", "the link names this page");
  const state = await page.getByLabel("State").locator("option", { hasText: /^followed$/ }).getAttribute("value");
  await page.getByLabel("State").selectOption(state);
  check(page.url().includes(`state=${state}`), page.url());
  await table("Calendars").getByText("followed").waitFor();
});

await step("a long stream keeps few rows in the document, and no frame of a scroll is empty", async () => {
  await visit(page, url, `#/events?from=earliest&tenant=${given.long.tenant}`);
  await page.waitForFunction((count) => Number(document.querySelector("table[aria-rowcount]")?.getAttribute("aria-rowcount")) > count, given.long.mails);
  const seen = await page.evaluate(() => new Promise((done) => {
    let [frames, empty, most] = [0, 0, 0];
    const draw = () => {
      frames += 1;
      most = Math.max(most, document.querySelectorAll("tr[data-row]").length);
      const middle = document.elementFromPoint(window.innerWidth / 2, window.innerHeight / 2);
      if (!middle?.closest("tr[data-row], footer")) empty += 1;
      const before = window.scrollY;
      window.scrollBy(0, 200);
      if (window.scrollY > before) requestAnimationFrame(draw);
      else done({ frames, empty, most });
    };
    requestAnimationFrame(draw);
  }));
  check(seen.frames > 20 && seen.empty === 0 && seen.most < 80, JSON.stringify(seen));
  const last = page.locator("tr[data-row]").last();
  check((await last.getAttribute("aria-rowindex")) === (await table("Events").getAttribute("aria-rowcount")), "the last row is not reached");
});

await step("a row that has the focus stays in the document wherever the page is scrolled to", async () => {
  await visit(page, url, `#/events?from=earliest&tenant=${given.long.tenant}`);
  await page.waitForFunction((count) => Number(document.querySelector("table[aria-rowcount]")?.getAttribute("aria-rowcount")) > count, given.long.mails);
  const link = page.locator("tr[data-row]").nth(3).getByRole("link").first();
  const target = await link.getAttribute("href");
  await link.focus();
  for (const [place, isNear] of [["document.body.scrollHeight", false], ["document.body.scrollHeight / 2", false], ["0", true]]) {
    await page.evaluate((at) => window.scrollTo(0, at), await page.evaluate(place));
    await page.waitForFunction((near) => (document.querySelector("tr[data-row][aria-rowindex='9']") !== null) === near, isNear);
    check((await page.evaluate(() => document.activeElement?.getAttribute("href"))) === target, `the focus is lost at ${place}`);
  }
  await page.evaluate(() => document.activeElement.blur());
});

await step("a conversation is read and solved", async () => {
  await visit(page, url, `#/conversations?tenant=${given.tenant}`);
  await table("Conversations").getByRole("link", { name: "Where is my parcel?" }).click();
  await page.getByRole("heading", { name: "Where is my parcel?" }).waitFor();
  await table("Messages").getByText("inbound").waitFor();
  await button("Solved").click();
  await page.locator(".title").getByText("solved").waitFor();
});

await step("an uncertain send is decided, and a scheduled one cancelled", async () => {
  await page.setViewportSize(NARROW);
  await visit(page, url, `#/sends?tenant=${given.sends.tenant}`);
  await table("Uncertain sends").waitFor();
  const beyond = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  check(beyond <= 0, `${beyond} pixels beyond`);
  await page.setViewportSize(WIDE);
  const uncertain = table("Uncertain sends").getByRole("row", { name: /In doubt/ });
  await uncertain.getByText("SEND_OUTCOME_UNKNOWN").waitFor();
  await uncertain.getByRole("button", { name: "Send again" }).click();
  await page.getByRole("dialog").getByText("the recipients get it twice").waitFor();
  await button("Cancel").first().focus();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await uncertain.getByRole("button", { name: "It was sent" }).click();
  await table("Uncertain sends").waitFor({ state: "detached" });
  await table("Sends").getByRole("row", { name: /In doubt/ }).getByText("sent", { exact: true }).waitFor();
  const later = table("Sends").getByRole("row", { name: /For later/ });
  await later.getByRole("button", { name: "Cancel" }).click();
  await later.getByText("cancelled").waitFor();
});

await step("the console works by keyboard alone", async () => {
  const presses = async (name, most = 40) => {
    for (let count = 0; count < most; count += 1) {
      await page.keyboard.press("Tab");
      const focused = await page.evaluate(() => document.activeElement?.textContent ?? "");
      if (focused.trim() === name) return;
    }
    throw new Error(`${name} is not reached`);
  };
  await visit(page, url, "#/health");
  await page.locator("body").focus();
  await presses("Accounts");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Accounts" }).waitFor();
  await page.waitForFunction(() => document.activeElement?.id === "main");
  await presses("Connect an account");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.waitForFunction(() => document.activeElement?.closest("[role=dialog]"));
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.waitForFunction(() => document.activeElement?.textContent === "Connect an account");
});

await step("filters stand in the address", async () => {
  await visit(page, url, "#/accounts");
  await page.getByLabel("Provider").selectOption("googlews");
  await page.getByRole("link", { name: given.accounts.ms365 }).waitFor({ state: "detached" });
  check(page.url().endsWith("#/accounts?provider=googlews"), page.url());
  await page.reload();
  await page.getByRole("link", { name: given.accounts.googlews }).waitFor();
  check((await page.getByLabel("Provider").inputValue()) === "googlews", "the filter is lost");
});

await step("a failed sign-out is shown, and the person stays signed in", async () => {
  await page.route(/SessionService\/EndSession/, (route) => route.abort());
  await page.locator(".who").click();
  await page.getByRole("menuitem", { name: "Sign out", exact: true }).click();
  await page.getByRole("alert").waitFor();
  await page.getByRole("navigation", { name: "Pages" }).waitFor();
  const found = await violations(page);
  check(found.length === 0, found.join("\n"));
  await page.unroute(/SessionService\/EndSession/);
});

await step("signing out leaves nothing behind", async () => {
  const before = await context.cookies();
  await page.locator(".who").click();
  await page.getByRole("menuitem", { name: "Sign out", exact: true }).click();
  await page.getByLabel("API key").waitFor();
  check((await context.cookies()).every((one) => one.name !== "__Host-mailmesh-session"), "the cookie is left");
  await context.addCookies(before);
  await page.reload();
  await page.getByLabel("API key").waitFor();
});

await browser.close();
