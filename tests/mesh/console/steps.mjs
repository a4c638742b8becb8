// The steps of a walk through the console: each prints one line of JSON with its fault, or without one.
import { readFileSync } from "node:fs";
import { open, person } from "./browser.mjs";

const STEP_MS = 240_000;

export function check(isTrue, what) {
  if (!isTrue) throw new Error(what);
}

// Begins a walk with what the test has prepared: the browser, its page, and what a step needs.
export async function walk() {
  const given = JSON.parse(readFileSync(0, "utf8"));
  const browser = await open(given.chromium);
  const me = await person(browser, given.url);
  const { page, context } = me;
  page.setDefaultTimeout(45_000);

  async function step(name, work) {
    let error = "";
    let timer;
    const late = new Promise((_, fail) => { timer = setTimeout(() => fail(new Error(`not within ${STEP_MS} ms`)), STEP_MS); });
    try {
      await Promise.race([work(), late]);
      const faults = me.faults.splice(0);
      check(faults.length === 0, faults.join("\n"));
    } catch (fault) {
      const shown = await page.locator("body").innerText({ timeout: 1_000 }).catch(() => "no page");
      error = `${fault?.stack ?? fault}\n${page.url()}\n${shown.slice(0, 1_500)}`;
      me.faults.splice(0);
    }
    clearTimeout(timer);
    console.log(JSON.stringify({ step: name, error }));
  }

  async function control(path, body) {
    const answer = await fetch(`${given.control}/control/${path}`, { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } });
    check(answer.ok, `${answer.status} ${await answer.text()}`);
  }

  // The owner of an account, in a tab of their own: our page's button, then the provider's.
  async function consent(link, address) {
    const theirs = await context.newPage();
    await theirs.goto(link);
    await theirs.getByRole("button").click();
    const choice = theirs.locator(`input[type=radio][value="${address}"]`);
    await theirs.locator("button[name=action][value=accept]").waitFor();
    if (await choice.count()) await choice.check();
    await theirs.locator("button[name=action][value=accept]").click();
    await theirs.waitForURL(/\/auth\/oauth\/result/);
    await theirs.close();
  }

  const button = (name) => page.getByRole("button", { name, exact: true });
  const table = (name) => page.getByRole("table", { name, exact: true });
  const dialog = () => page.getByRole("dialog");
  const deliver = (account, mail) => control(`accounts/${account}/messages`, mail);
  return { given, url: given.url, browser, me, page, context, step, control, deliver, consent, button, table, dialog };
}
