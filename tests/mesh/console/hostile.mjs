// Visits each page with an account all of whose texts are hostile: nothing runs, nothing leaves, nothing covers the page.
import { NARROW, WIDE, signIn, visit } from "./browser.mjs";
import { check, walk } from "./steps.mjs";

const { given, url, browser, me, page, context, step, button, table, dialog } = await walk();
// An event is shown whole, in two forms; lists cut each text.
const [MOST_OF_A_LIST, MOST_OF_AN_EVENT] = [60_000, 700_000];
// What the page's policy has refused in the frame of a mail is no fault of the page.
const REFUSED = /violates the following Content Security Policy|Blocked script execution|Blocked form submission|unsafe to load|Framing/;

function seen() {
  const hidden = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/;
  const all = [...document.querySelectorAll("body *")];
  const own = [...document.querySelectorAll("header nav a, .who")];
  const isOnTop = (element) => {
    const { left, top, width, height } = element.getBoundingClientRect();
    return document.elementFromPoint(left + width / 2, top + height / 2)?.closest("a, button") === element;
  };
  return {
    made: all.filter((one) => one.matches("img, object, embed, style, script, link, iframe:not([sandbox=''])")).map((one) => one.outerHTML.slice(0, 200)),
    marks: hidden.test(document.body.innerText),
    attributes: all.flatMap((one) => [...one.attributes].filter(({ name, value }) => name !== "value" && name !== "srcdoc" && hidden.test(value)).map(({ name }) => `${one.tagName} ${name}`)),
    long: Math.max(0, ...all.flatMap((one) => [...one.attributes].filter(({ name }) => name !== "srcdoc").map(({ value }) => value.length))),
    covered: own.filter((one) => !isOnTop(one)).map((one) => one.textContent),
    beyond: document.documentElement.scrollWidth - window.innerWidth,
    characters: document.body.innerText.length,
    title: document.title,
  };
}

async function harmless(most) {
  for (const size of [WIDE, NARROW]) {
    await page.setViewportSize(size);
    await page.evaluate(() => window.scrollTo(0, 0));
    const found = await page.evaluate(seen);
    const { made, marks, attributes, covered, beyond } = found;
    const isFine = made.length === 0 && !marks && attributes.length === 0 && covered.length === 0 && beyond <= 0;
    check(isFine && found.characters < most && found.long < 10_000 && /· mailmesh$/.test(found.title), `${size.width}: ${JSON.stringify(found).slice(0, 1500)}`);
  }
  await page.setViewportSize(WIDE);
  me.faults.splice(0, me.faults.length, ...me.faults.filter((fault) => !REFUSED.test(fault)));
  check(page.url().startsWith(`${url}/console/#/`), page.url());
  check(context.pages().length === 1, "a window has opened");
}

await signIn(page, url, given.key);

for (const hash of given.pages) {
  await step(`${hash.split(/[/?]/)[0]}: ${hash}`, async () => {
    await visit(page, url, `#/${hash}`);
    await page.waitForFunction(() => document.querySelector("main").textContent.includes("onerror") || document.querySelector("main table, main .figures"));
    await harmless(hash.startsWith("events/") ? MOST_OF_AN_EVENT : MOST_OF_A_LIST);
  });
}

await step("the frame of a mail runs and loads nothing", async () => {
  await visit(page, url, `#/events/${given.event}`);
  await page.getByText("HTML, without its styles").click();
  const frame = page.frameLocator("iframe[title='HTML of the mail']");
  await frame.getByText("Hello").waitFor();
  await frame.getByRole("link").click({ timeout: 3_000 }).catch(() => undefined);
  await page.waitForTimeout(500);
  await harmless(MOST_OF_AN_EVENT);
});

await step("the answer of a receiver is shown as text", async () => {
  await visit(page, url, `#/endpoints/${given.endpoint}`);
  await table("Attempts").getByRole("button", { name: "Show" }).first().click();
  const answer = await dialog().getByLabel("Body of the answer").innerText();
  check(answer.includes("onerror") && answer.length < 3_000, `${answer.length} characters`);
  check((await page.evaluate(seen)).made.length === 0, "markup has become elements");
  await button("Close").click();
});

await step("the question of a workflow is text, and so is its answer", async () => {
  await visit(page, url, `#/workflows/${given.asking}`);
  const asked = await page.getByLabel("Question of the workflow").innerText();
  check(asked.split("onerror").length > 10 && asked.length < 5_000, `${asked.length} characters`);
  await page.getByLabel("Answer", { exact: true }).fill(given.markup);
  await harmless(MOST_OF_A_LIST);
  await button("Answer and continue").click();
  await page.getByLabel("Question of the workflow").waitFor({ state: "detached" });
  await harmless(MOST_OF_A_LIST);
});

await step("the choices of dialogs are text", async () => {
  await visit(page, url, "#/accounts");
  await button("Connect an account").click();
  await dialog().getByLabel("How").selectOption("shared");
  await dialog().getByLabel("Person").locator("option", { hasText: "onerror" }).waitFor({ state: "attached" });
  const found = await page.evaluate(seen);
  check(found.made.length === 0 && !found.marks && found.attributes.length === 0 && found.beyond <= 0, JSON.stringify(found).slice(0, 1500));
  await button("Cancel").click();
});

await step("an address with hostile filters is a page like any other", async () => {
  const evil = encodeURIComponent(given.markup);
  for (const hash of [`change/${evil}`, `events/${evil}`, `accounts/${evil}`, `${evil}`, `dead-letters?reason=${evil}&tenant=${evil}`, `audit?action=${evil}`]) {
    await page.goto(`${url}/console/#/${hash}`);
    await page.locator("main h1").waitFor();
    await page.waitForFunction(() => !document.querySelector("main")?.textContent.includes("Reading…"));
    await harmless(MOST_OF_A_LIST);
  }
});

await browser.close();
