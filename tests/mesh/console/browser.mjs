// Chromium for the tests of the console: without the network's own habits, and with a list of all that a page did wrong.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
export const WIDE = { width: 1280, height: 900 };
export const NARROW = { width: 400, height: 800 };

export function open(executablePath) {
  return chromium.launch({
    executablePath,
    args: ["--no-sandbox", "--disable-background-networking", "--disable-dev-shm-usage", "--disable-gpu"],
  });
}

// A browser of its own, as a person's: it notes errors, foreign requests and dialogs.
export async function person(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: WIDE, ignoreHTTPSErrors: true, reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  const faults = [];
  page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
  page.on("dialog", (dialog) => { faults.push(`dialog: ${dialog.message()}`); void dialog.dismiss(); });
  page.on("console", (message) => {
    // A refused call is no fault of the page.
    if (message.type() === "error" && !/Failed to load resource/.test(message.text())) faults.push(`console: ${message.text()}`);
  });
  const foreign = (request) => `foreign request: ${request.url()}`;
  page.on("request", (request) => {
    if (!request.url().startsWith(`${url}/`) && !/^(data|about|blob):/.test(request.url())) faults.push(foreign(request));
  });
  // Chromium may announce a request that the page's policy then refuses: nothing of it has left.
  page.on("requestfailed", (request) => {
    const place = faults.indexOf(foreign(request));
    if (place >= 0 && /csp/i.test(request.failure()?.errorText ?? "")) faults.splice(place, 1);
  });
  return { context, page, faults };
}

export async function signIn(page, url, key) {
  await page.goto(`${url}/console/`);
  await page.getByLabel("API key").fill(key);
  await page.keyboard.press("Enter");
  await page.getByRole("navigation", { name: "Pages" }).waitFor();
}

// The page of the address, once it has read what it shows.
export async function visit(page, url, hash) {
  await page.goto(`${url}/console/${hash}`);
  await page.locator("main h1").waitFor();
  await page.waitForFunction(() => !document.querySelector("main")?.textContent.includes("Reading…"));
}

// Chromium evaluates in the page's own world under the debugger, so the page's policy stays as it is.
export async function violations(page) {
  await page.evaluate(axeSource);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return found.violations.map((one) => `${one.id}: ${one.help}: ${one.nodes.map((node) => node.target.join(" ")).slice(0, 3).join(", ")}`);
}
