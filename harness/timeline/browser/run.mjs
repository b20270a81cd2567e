// Opens pages in headless Chromium and does what a student would: `node run.mjs <folder of pages>`.
//
// Each page is made by the timeline's own binary or by a test that failed; see the Makefile.

import assert from "node:assert/strict";
import { readdirSync, existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [folder, pictures] = process.argv.slice(2);
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
if (!existsSync(executablePath)) fail(`no browser at ${executablePath}: apt-get install chromium, or set CHROMIUM`);
if (!folder || !existsSync(folder)) fail("give the folder with the pages");
const pages = readdirSync(folder).filter((name) => name.endsWith(".html") && !name.endsWith(".history.html")).sort();
if (!pages.length) fail(`no pages in ${folder}`);
if (pictures) mkdirSync(pictures, { recursive: true });

function fail(text) {
  console.error(`browser tests: ${text}`);
  process.exit(1);
}

const browser = await chromium.launch({
  executablePath,
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
});

/// Opens a page; whatever goes wrong in it, or goes out to a network, is an error.
async function open(name, { scheme = "light", hash = "" } = {}) {
  const problems = [];
  const context = await browser.newContext({ viewport: { width: 1500, height: 950 }, colorScheme: scheme });
  const tab = await context.newPage();
  tab.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  tab.on("pageerror", (error) => problems.push(error.stack));
  tab.on("request", (request) => /^https?:/.test(request.url()) && problems.push(`it asks for ${request.url()}`));
  const began = performance.now();
  await tab.goto(pathToFileURL(join(folder, name)).href + hash);
  await tab.waitForFunction(() => document.documentElement.dataset.ready === "yes", null, { timeout: 60_000 });
  const took = performance.now() - began;
  const paints = await tab.evaluate(() => performance.getEntriesByType("paint").map((entry) => entry.startTime));
  return { tab, problems, took, painted: Math.max(...paints), close: () => context.close() };
}

/// What the page knows.
const state = (tab) => tab.evaluate(() => ({
  t: app.t, moment: app.moment, server: app.server, why: app.why, step: app.step, call: app.call, beats: app.beats,
  from: app.view.firstTime, to: app.view.lastTime, tab: app.tab, playing: !!app.playing,
  verdict: app.recording.run.verdict, findings: app.story.findings, steps: app.story.steps,
  calls: app.recording.run.calls.length, moments: app.recording.moments.length, faults: app.recording.faults.length,
}));

async function press(tab, key) {
  await tab.keyboard.press(key);
  await tab.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  return state(tab);
}

/// Some ink is on the canvas, in more than a few colours.
const colourful = (tab, id) => tab.evaluate((id) => {
  const canvas = document.getElementById(id);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const seen = new Set();
  for (let i = 0; i < data.length; i += 40) seen.add((data[i] >> 4) * 256 + (data[i + 1] >> 4) * 16 + (data[i + 2] >> 4));
  return seen.size;
}, id);

const tests = {
  async "opens, and says what went wrong first"(tab) {
    const now = await state(tab);
    const chip = await tab.textContent("#verdict");
    assert.equal(chip, now.verdict ? "FAIL" : "passed");
    if (now.verdict) {
      assert.equal(await tab.textContent("#what"), now.verdict.title);
      assert.ok((await tab.textContent("#report")).includes(now.verdict.happened.split("\n")[0]));
      // Two runs open where they begin to differ.
      const difference = await tab.evaluate(() => app.comparison?.here?.at);
      assert.equal(now.t, difference ?? now.verdict.at);
      if (difference !== undefined) assert.ok((await tab.textContent("#report")).includes("equal events"));
    }
    assert.ok((await colourful(tab, "lanes")) > 6, "the lanes are empty");
  },
  async "the file is small enough"(tab, name) {
    const { calls } = await state(tab);
    const { size } = statSync(join(folder, name));
    if (calls <= 10_000) assert.ok(size <= 2_000_000, `${size} bytes for ${calls} calls`);
  },
  async "go there moves the cursor to the verdict"(tab) {
    const { verdict } = await state(tab);
    if (!verdict) return;
    await press(tab, "0");
    await tab.mouse.click(700, 420);
    await tab.click("#go");
    const now = await press(tab, "Escape");
    assert.equal(now.t, verdict.at);
    assert.ok(now.from <= now.t && now.t <= now.to, "the cursor is out of sight");
  },
  async "why shows the steps, and j and k go along"(tab) {
    const before = await state(tab);
    if (!before.verdict) return;
    let now = await press(tab, "w");
    assert.ok(now.why && now.tab === "steps");
    if (before.steps.length > 1) {
      const wrong = before.steps.findIndex((step) => step.wrong);
      assert.equal(now.step, wrong < 0 ? before.steps.length - 1 : wrong);
      if (wrong >= 0) assert.equal(await tab.locator("#steps .here.wrong").count(), 1);
      now = await press(tab, "k");
      now = await press(tab, "j");
      assert.equal(now.t, before.steps[now.step].at);
    }
    now = await press(tab, "w");
    assert.ok(!now.why);
  },
  async "keys step through events, servers, faults and findings"(tab) {
    await press(tab, "0");
    const first = await press(tab, "p");
    const next = await press(tab, "n");
    assert.ok(next.moment > first.moment && next.t >= first.t);
    await press(tab, "1");
    const own = await press(tab, "[");
    assert.equal(own.server, 0);
    if (own.faults > 1) {
      await tab.evaluate(() => app.goTime(0));
      const fault = await press(tab, "f");
      assert.ok(fault.t >= 0);
      assert.ok(await tab.evaluate(() => app.recording.moments[app.moment].fault));
    }
    if (own.findings.length) {
      const found = await press(tab, "x");
      assert.ok(found.findings.some((finding) => finding.at === found.t));
    }
  },
  async "zoom, pan, folding and heartbeats change the picture"(tab) {
    const whole = await press(tab, "0");
    await press(tab, "v");
    const near = await press(tab, "+");
    assert.ok(near.to - near.from < whole.to - whole.from);
    const right = await press(tab, "ArrowLeft");
    assert.ok(right.from < near.from);
    await press(tab, "z");
    assert.equal(await tab.getAttribute("#folds", "aria-pressed"), "false");
    await press(tab, "z");
    assert.ok((await press(tab, "h")).beats);
    assert.ok(!(await press(tab, "h")).beats);
    await press(tab, "0");
  },
  async "search finds, and goes there"(tab) {
    await press(tab, "/");
    await tab.keyboard.type("term");
    await tab.keyboard.press("Enter");
    await tab.keyboard.press("Escape");
    const rows = await tab.locator("#events li").count();
    assert.ok(rows > 0, "nothing found");
    await press(tab, "Escape");
  },
  async "a click on a message shows what is in it"(tab) {
    await press(tab, "v");
    for (let n = 0; n < 12; n++) {
      if (await tab.evaluate(() => visibleMessages(app.lanes).length < 200)) break;
      await press(tab, "+");
    }
    const place = await tab.evaluate(() => {
      const { lanes, view } = app;
      const shown = visibleMessages(lanes).filter((m) => m.arrived !== undefined && view.x(m.sent) > 120);
      const m = shown.at(-1);
      if (!m) return null;
      const box = lanes.canvas.getBoundingClientRect(), stage = document.getElementById("stage").getBoundingClientRect();
      const y = (lanes.middle[m.from] + lanes.middle[m.to]) / 2 + box.top;
      return y < stage.bottom && y > stage.top ? { x: (view.x(m.sent) + view.x(m.arrived)) / 2 + box.left, y } : null;
    });
    if (!place) return;
    await tab.mouse.click(place.x, place.y);
    const now = await press(tab, "Shift");
    assert.notEqual(now.call, null, "no message chosen");
    assert.ok((await tab.textContent("#state .message")).includes("request: sent"));
  },
  async "playing moves the cursor, and the ring is drawn"(tab) {
    await press(tab, "0");
    await tab.evaluate(() => app.goTime(0));
    const before = await press(tab, " ");
    await tab.waitForTimeout(300);
    const later = await state(tab);
    assert.ok(later.playing && later.t > before.t);
    await press(tab, " ");
    assert.ok((await colourful(tab, "circle")) > 2, "the ring is empty");
  },
  async "the address leads back to this moment"(tab, name) {
    await tab.evaluate(() => document.activeElement.blur());
    await press(tab, "v");
    const here = await press(tab, "p");
    const hash = await tab.evaluate(() => location.hash);
    const again = await open(name, { hash });
    const there = await state(again.tab);
    assert.deepEqual([there.t, there.server], [here.t, here.server]);
    await again.close();
  },
  async "light and dark"(tab) {
    const back = () => tab.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const before = await back();
    await tab.click("#theme");
    assert.notEqual(await back(), before);
    await tab.click("#theme");
    assert.equal(await back(), before);
  },
  async "help lists the keys, and Escape closes it"(tab) {
    await tab.evaluate(() => document.activeElement.blur());
    await press(tab, "?");
    assert.ok((await tab.textContent("#keys")).includes("next, previous event"));
    await press(tab, "Escape");
    assert.ok(!(await tab.evaluate(() => document.getElementById("keys").open)));
  },
  async "every button can be reached and named without a mouse"(tab) {
    const nameless = await tab.evaluate(() => [...document.querySelectorAll("button, select, input, canvas")]
      .filter((e) => !(e.textContent.trim() || e.title || e.getAttribute("aria-label") || e.closest("label") || e.id === "lanes"))
      .map((e) => e.outerHTML.slice(0, 80)));
    assert.deepEqual(nameless, []);
    assert.ok(await tab.getAttribute("#stage", "tabindex"));
  },
};

let failed = 0;
for (const name of pages) {
  const { tab, problems, took, painted, close } = await open(name);
  for (const [title, test] of Object.entries(tests)) {
    try {
      await test(tab, name);
    } catch (error) {
      failed += 1;
      console.log(`FAIL ${name}: ${title}\n  ${String(error.stack).split("\n").slice(0, 6).join("\n  ")}`);
    }
  }
  if (problems.length) {
    failed += 1;
    console.log(`FAIL ${name}: errors in the console\n  ${problems.slice(0, 3).join("\n  ")}`);
  }
  if (pictures) {
    await tab.evaluate(() => app.goVerdict());
    await tab.keyboard.press("Escape");
    await tab.keyboard.press("w");
    await tab.waitForTimeout(150);
    await tab.screenshot({ path: join(pictures, name.replace(/html$/, "png")) });
  }
  const { calls } = await state(tab);
  const kilobytes = Math.round(statSync(join(folder, name)).size / 1000);
  await close();
  console.log(`${name}: ${calls} calls, ${kilobytes} kB, first paint after ${Math.round(painted)} ms, all there after ${Math.round(took)} ms`);
}
await browser.close();
console.log(`${pages.length} pages, ${Object.keys(tests).length} tests each, ${failed} failed`);
process.exit(failed ? 1 : 0);
