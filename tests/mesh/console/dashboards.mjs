// Looks at the page of the dashboards that Prometheus serves: each board has its panels, and none has a fault.
import { violations } from "./browser.mjs";
import { check, walk } from "./steps.mjs";

const { given, browser, page, step, button } = await walk();

await step("the overview is drawn, and names the state of the alerts", async () => {
  await page.goto(given.page);
  await page.getByRole("img", { name: "Processes that answer" }).locator("polyline").first().waitFor({ state: "attached" });
  await page.getByRole("status").getByText("read at").waitFor();
  await page.getByRole("region", { name: "Alerts", exact: true }).getByRole("listitem").first().waitFor();
});

for (const board of given.boards) {
  await step(`the board ${board} has its panels`, async () => {
    await button(board).click();
    await page.locator(`nav button[aria-current=true]`, { hasText: board }).waitFor();
    await page.waitForFunction(() => document.querySelectorAll("#panels svg").length > 3 && !document.querySelector("#panels .failed"));
  });
}

await step("no rule of accessibility is broken", async () => {
  const found = await violations(page);
  check(found.length === 0, found.join("\n"));
});

await browser.close();
