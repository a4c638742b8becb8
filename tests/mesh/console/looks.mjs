// Looks at each page as people do: wide, at 200 %, 400 pixels narrow, light, dark, by keyboard; and at what each page owes to all.
import { NARROW, WIDE, signIn, violations, visit } from "./browser.mjs";
import { check, walk } from "./steps.mjs";

const { given, url, browser, page, step, button, dialog } = await walk();
const NOBODY = "019a9f0e-7c1e-7000-8000-000000000000";
const { tenant } = given;
const WITH_CALL = [
  "accounts", `accounts/${tenant}`, `events?from=earliest&tenant=${tenant}`, `events/${given.event}`, `search?tenant=${tenant}&query=parcel`,
  `change/${given.correlation}?tenant=${tenant}`, "dead-letters", "endpoints", `endpoints/${given.endpoint}`, `sends?tenant=${given.sends.tenant}`,
  `calendars?tenant=${given.calendar.tenant}`, `conversations?tenant=${tenant}`, `workflows?tenant=${tenant}`, `workflows/${given.run}`, "keys", `audit?tenant=${tenant}`, "health",
];
const PAGES = [...WITH_CALL, "change", "search", "nowhere"];
// A page of 1280 pixels at 200 % has the room of one of 640.
const ZOOMED = { width: WIDE.width / 2, height: WIDE.height / 2 };

await step("the page of signing in breaks no rule of accessibility, with a refused key neither", async () => {
  await page.goto(`${url}/console/`);
  for (const colorScheme of ["light", "dark"]) {
    for (const size of [WIDE, ZOOMED, NARROW]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize(size);
      const found = await violations(page);
      check(found.length === 0, found.join("\n"));
      await fits("signing in", size);
    }
    await page.getByLabel("API key").fill("mm_wrong");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").getByText("API_KEY_INVALID").waitFor();
  }
});

await page.setViewportSize(WIDE);
await signIn(page, url, given.key);

await step("search is on for the page of what it finds", async () => {
  await visit(page, url, `#/search?tenant=${tenant}&query=parcel`);
  await button("Disable search").or(button("Enable search")).waitFor();
  if (await button("Enable search").isVisible()) await button("Enable search").click();
  await page.waitForFunction(() => /Indexed mails: [1-9]/.test(document.body.textContent));
});

async function fits(what, size) {
  const beyond = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  check(beyond <= 0, `${what}: ${beyond} pixels beyond ${size.width}`);
}

for (const [look, sizes] of [["light", [WIDE, ZOOMED, NARROW]], ["dark", [WIDE, NARROW]]]) {
  for (const size of sizes) {
    await step(`no page breaks a rule of accessibility in ${look}, ${size.width} pixels wide`, async () => {
      await page.emulateMedia({ colorScheme: look });
      await page.setViewportSize(size);
      for (const hash of PAGES) {
        await visit(page, url, `#/${hash}`);
        const found = await violations(page);
        check(found.length === 0, `${hash}: ${found.join("\n")}`);
        await fits(hash, size);
      }
    });
  }
}

const DIALOGS = [
  ["accounts", "Connect an account"], [`accounts/${tenant}`, "Reconnect"], [`accounts/${tenant}`, "Disconnect"], ["dead-letters", "Retry all that fit"],
  ["endpoints", "Add an endpoint"], [`endpoints/${given.endpoint}`, "Rotate the key"], [`endpoints/${given.endpoint}`, "Access"], ["keys", "Create a key"],
];
for (const [look, size] of [["light", NARROW], ["dark", WIDE]]) {
  await step(`no dialog breaks a rule of accessibility in ${look}`, async () => {
    await page.emulateMedia({ colorScheme: look });
    await page.setViewportSize(size);
    const looked = async (name) => {
      const found = await violations(page);
      check(found.length === 0, `${name}: ${found.join("\n")}`);
      await fits(name, size);
    };
    for (const [hash, name] of DIALOGS) {
      await visit(page, url, `#/${hash}`);
      await button(name).first().click();
      await dialog().waitFor();
      await looked(name);
      if (name === "Connect an account") {
        for (const way of ["organisation", "shared"]) {
          await dialog().getByLabel("How").selectOption(way);
          await page.waitForFunction(() => !document.querySelector("[role=dialog]").textContent.includes("Reading…"));
          await looked(`${name}: ${way}`);
        }
      }
      await page.keyboard.press("Escape");
      await dialog().waitFor({ state: "detached" });
    }
  });
}

// Presses Tab through the page, and returns what was not reached and what did not show that it has the focus.
async function tabbed() {
  const all = await page.evaluate(() => {
    const found = [...document.querySelectorAll("a[href], button:not([disabled]), input, select, textarea, summary, [tabindex='0']")];
    const shown = found.filter((one) => one.tabIndex >= 0 && one.getClientRects().length > 0);
    shown.forEach((one, at) => { one.dataset.stop = String(at); });
    document.activeElement?.blur();
    window.getSelection().removeAllRanges();
    return shown.map((one) => `${one.tagName} ${one.textContent.slice(0, 40)}`);
  });
  const [reached, dim] = [new Set(), []];
  for (let presses = 0; presses < all.length + 3; presses += 1) {
    await page.keyboard.press("Tab");
    const { stop, isSeen } = await page.evaluate(() => {
      const { activeElement: one } = document;
      const { outlineStyle, outlineWidth } = getComputedStyle(one);
      return { stop: one.dataset?.stop, isSeen: outlineStyle !== "none" && Number.parseFloat(outlineWidth) > 0 };
    });
    if (stop === undefined) continue;
    reached.add(Number(stop));
    if (!isSeen) dim.push(all[Number(stop)]);
  }
  return { missed: all.filter((_, at) => !reached.has(at)), dim };
}

await step("each control of each page is reached by the key Tab, and shows the focus", async () => {
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize(WIDE);
  for (const hash of PAGES) {
    await visit(page, url, `#/${hash}`);
    // A row that arrives between two keys would take the place of the control that has the focus.
    if (hash.startsWith("events?from=earliest")) await page.locator("table.window tbody tr[data-row]").first().waitFor();
    const { missed, dim } = await tabbed();
    check(missed.length === 0 && dim.length === 0, `${hash}: not reached: ${missed.join("; ")}; without a ring: ${dim.join("; ")}`);
  }
});

await step("each page copies its call, and each of its times is relative and absolute", async () => {
  for (const hash of WITH_CALL) {
    await visit(page, url, `#/${hash}`);
    await button("Copy as curl").first().waitFor();
    await button("Copy as grpcurl").first().waitFor();
    const times = await page.locator("main time").allInnerTexts();
    check(times.every((text) => /(ago|in |now|yesterday|tomorrow|last|next).*\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/s.test(text)), `${hash}: ${times.join("; ")}`);
  }
});

await step("a list that is empty says what to do next", async () => {
  const empty = [
    "accounts?address=nobody@nowhere.test", `events?tenant=${NOBODY}`, "dead-letters?reason=NO_SUCH_REASON", "endpoints?url=https://nowhere.example/", `sends?tenant=${NOBODY}`,
    "workflows?workflow=nothing", "audit?action=nothing.at.all", `endpoints/${given.endpoint}?event=${NOBODY}`, `change/${NOBODY}?tenant=${tenant}`, "change", "search",
    `search?tenant=${tenant}&query=xylophone`, `calendars?tenant=${tenant}`,
  ];
  for (const hash of empty) {
    await visit(page, url, `#/${hash}`);
    const words = page.locator("main .empty").first();
    await words.waitFor();
    check((await words.locator("a, button, code").count()) > 0 || /Choose|Enter|“/.test(await words.innerText()), `${hash}: ${await words.innerText()}`);
  }
});

await step("a failure has the catalogue's words", async () => {
  for (const hash of [`accounts/${NOBODY}`, `events/${NOBODY}`, `endpoints/${NOBODY}`, `conversations/${NOBODY}`, `workflows/${NOBODY}`, "accounts/none", `calendars?tenant=${NOBODY}`, `search?tenant=${NOBODY}`]) {
    await visit(page, url, `#/${hash}`);
    const failed = page.locator("main .failed").first();
    await failed.waitFor();
    check(/^[A-Z_]+$/.test(await failed.locator("code").innerText()), `${hash}: ${await failed.innerText()}`);
    check((await failed.locator("p").count()) === 2 && (await failed.locator("p").nth(1).innerText()).length > 15, `${hash}: no remedy: ${await failed.innerText()}`);
  }
});

await browser.close();
