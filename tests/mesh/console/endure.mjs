// Measures the page of events: the frames of a scroll through very many, and the memory of a tail that goes on.
import { readFileSync } from "node:fs";
import { open, person, signIn } from "./browser.mjs";

const given = JSON.parse(readFileSync(0, "utf8"));
const { url, key } = given;
const SAMPLES = 12;
const SCROLL = { step: 200, most: 1500 };
const browser = await open(given.chromium);
const { page, context, faults } = await person(browser, url);
page.setDefaultTimeout(300_000);
const devtools = await context.newCDPSession(page);
const say = (step, facts) => console.log(JSON.stringify({ step, ...facts }));

// Scrolls by a step in each frame, and counts the frames, those that took longer than two, and, where it looks, those without a
// row in sight. To look takes time itself, so that a scroll either looks or is timed.
function scroll({ step, most, looks }) {
  window.scrollTo(0, 0);
  return new Promise((done) => {
    let [frames, slow, blank, last] = [0, 0, 0, performance.now()];
    const draw = (now) => {
      frames += 1;
      if (now - last > 34) slow += 1;
      last = now;
      if (looks) {
        const middle = document.elementFromPoint(window.innerWidth / 2, window.innerHeight / 2);
        if (!middle?.closest("tr[data-row]") && !middle?.querySelector?.("tr[data-row]")) blank += 1;
      }
      const before = window.scrollY;
      window.scrollBy(0, step);
      if (frames < most && window.scrollY > before) requestAnimationFrame(draw);
      else done({ frames, ...(looks ? { blank, rowsInDocument: document.querySelectorAll("tr[data-row]").length } : { slow }) });
    };
    requestAnimationFrame(draw);
  });
}

const WORK = { script: "ScriptDuration", style: "RecalcStyleDuration", layout: "LayoutDuration", all: "TaskDuration" };

// A scroll with the milliseconds of a processor that its frames took in the page's main thread, which no other program lengthens.
async function timed(facts) {
  const read = async () => new Map((await devtools.send("Performance.getMetrics")).metrics.map(({ name, value }) => [name, value]));
  const before = await read();
  const seen = await page.evaluate(scroll, { ...facts, looks: false });
  const after = await read();
  const perFrame = Object.entries(WORK).map(([name, key]) => [name, Math.round(((after.get(key) - before.get(key)) / seen.frames) * 100_000) / 100]);
  return { ...seen, millisecondsPerFrame: Object.fromEntries(perFrame) };
}

async function heap() {
  await devtools.send("HeapProfiler.collectGarbage");
  const { metrics } = await devtools.send("Performance.getMetrics");
  const of = (name) => metrics.find((one) => one.name === name)?.value;
  return { megabytes: Math.round(of("JSHeapUsedSize") / 104_857.6) / 10, nodes: of("Nodes") };
}

await devtools.send("Performance.enable", { timeDomain: "threadTicks" });
await signIn(page, url, key);
await page.goto(`${url}/console/#/events?from=earliest`);
await page.waitForFunction((count) => Number(document.querySelector("table[aria-rowcount]")?.getAttribute("aria-rowcount")) > count, given.events, { polling: 500 });
// What the machine does at this hour with a page of the same length that has nothing to draw.
const plain = await context.newPage();
await plain.setContent('<body style="margin: 0"><div style="height: 440000px; background: linear-gradient(red, blue)"></div></body>');
await plain.bringToFront();
say("scroll of an empty page", await plain.evaluate(scroll, { ...SCROLL, looks: false }));
await plain.close();
say("scroll", await timed(SCROLL));
say("scroll that looks", await page.evaluate(scroll, { ...SCROLL, looks: true }));
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
