// Signs in at the organisation's identity provider by the button of the first page, then out.
import { check, walk } from "./steps.mjs";

const { given, url, browser, me, page, context, step, button } = await walk();
const COOKIE = "__Host-mailmesh-session";

await step("the button leads to the identity provider, and back into the console", async () => {
  await page.goto(`${url}/console/`);
  await page.getByRole("link", { name: `Sign in with ${given.offer}` }).click();
  await page.locator("button[name=action][value=accept]").waitFor();
  check(!page.url().startsWith(url), page.url());
  await page.locator(`input[type=radio][value="${given.person}"]`).check();
  await page.locator("button[name=action][value=accept]").click();
  await page.getByRole("heading", { name: "Accounts" }).waitFor();
  check(page.url().startsWith(`${url}/console/`), page.url());
  await button(`${given.person} (signed in)`).waitFor();
  const cookie = (await context.cookies(url)).find((one) => one.name === COOKIE);
  check(cookie?.httpOnly && cookie.secure && cookie.sameSite === "Strict", JSON.stringify(cookie));
  // The provider's pages are of another origin: that is the way of the sign-in.
  me.faults.splice(0, me.faults.length, ...me.faults.filter((fault) => !fault.startsWith("foreign request: https://127.0.0.1")));
});

await step("the pages are those of the role that the groups give", async () => {
  const names = await page.getByRole("navigation", { name: "Pages" }).getByRole("link").allInnerTexts();
  check(names.includes("Sends") && !names.includes("Keys"), names.join(", "));
});

await step("signing out ends the session", async () => {
  await page.locator(".who").click();
  await page.getByRole("menuitem", { name: "Sign out", exact: true }).click();
  await page.getByRole("link", { name: `Sign in with ${given.offer}` }).waitFor();
  check((await context.cookies(url)).every((one) => one.name !== COOKIE), "the cookie is left");
});

await browser.close();
