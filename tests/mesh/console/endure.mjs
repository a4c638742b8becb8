// Measures the page of events: the frames of a scroll through very many, and the memory of a tail that goes on.
import { readFileSync } from "node:fs";
import { open, person, signIn } from "./browser.mjs";

const given = JSON.parse(readFileSync(0, "utf8"));
const { url, key } = given;
const SAMPLES = 12;
const browser = await open(given.chromium);
const { page, context, faults } = await person(browser, url);
page.setDefaultTimeout(300_000);
const devtools = await context.newCDPSession(page);
const say = (step, facts) => console.log(JSON.stringify({ step, ...facts }));

// Scrolls by a step in each frame, and counts the frames, those that took longer than two, and those without a row in sight.
function scroll({ step, most }) {
  return new Promise((done) => {
    let [frames, slow, blank, last] = [0, 0, 0, performance.now()];
    const draw = (now) => {
      frames += 1;
      if (now - last > 34) slow += 1;
      last = now;
      const middle = document.elementFromPoint(window.innerWidth / 2, window.innerHeight / 2);
      if (!middle?.closest("tr[data-row]") && !middle?.querySelector?.("tr[data-row]")) blank += 1;
      const before = window.scrollY;
      window.scrollBy(0, step);
      if (frames < most && window.scrollY > before) requestAnimationFrame(draw);
      else done({ frames, slow, blank, rowsInDocument: document.querySelectorAll("tr[data-row]").length });
    };
    requestAnimationFrame(draw);
  });
}

async function heap() {
  await devtools.send("HeapProfiler.collectGarbage");
  const { metrics } = await devtools.send("Performance.getMetrics");
  const of = (name) => metrics.find((one) => one.name === name)?.value;
  return { megabytes: Math.round(of("JSHeapUsedSize") / 104_857.6) / 10, nodes: of("Nodes") };
}

await devtools.send("Performance.enable");
await signIn(page, url, key);
await page.goto(`${url}/console/#/events?from=earliest`);
await page.waitForFunction((count) => Number(document.querySelector("table[aria-rowcount]")?.getAttribute("aria-rowcount")) > count, given.events, { polling: 500 });
say("scroll", await page.evaluate(scroll, { step: 200, most: 1500 }));
await page.evaluate(() => window.scrollTo(0, 0));
say("tail begins", await heap());
await fetch(`${given.control}/control/load`, {
  method: "POST", headers: { "content-type": "application/json" },
  body: JSON.stringify({ accounts: given.addresses, perSecond: given.rate, seconds: given.seconds }),
}).then(async (answer) => { if (!answer.ok) throw new Error(await answer.text()); });
for (let sample = 1; sample <= SAMPLES; sample += 1) {
  await page.waitForTimeout((given.seconds * 1000) / SAMPLES);
  const newest = await page.locator("tr[data-row]").first().innerText();
  say(`after ${Math.round((given.seconds * sample) / SAMPLES)} s`, { ...(await heap()), newest: newest.slice(0, 40) });
}
say("faults", { faults });
await browser.close();
