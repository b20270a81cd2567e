// Takes the book's pictures: `node pictures.mjs <folder of pages> <folder for pictures>`. `make
// pictures` makes the pages, each named by the number of the wrong server's patch.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [pages, pictures] = process.argv.slice(2);
mkdirSync(pictures, { recursive: true });

/// What is pressed, as in the text beside the picture; `step` goes to the step of *why* with these words.
const SHOTS = [
  { name: "two-leaders", page: "R80", keys: ["v"] },
  { name: "vote-lost", page: "R80", keys: ["v", "w"], step: "S2 answers S0 by what is not on its disk: its vote for S0 in T9" },
  { name: "figure-8", page: "R50", keys: ["v", "w"] },
  { name: "figure-8-dark", page: "R50", keys: ["v", "w"], scheme: "dark" },
  { name: "stale-read", page: "K30", keys: ["v", "w", "+", "+", "+", "+"] },
];

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
});
for (const { name, page, keys, step, scheme = "light", height = 880 } of SHOTS) {
  const tab = await browser.newPage({ viewport: { width: 1120, height }, colorScheme: scheme });
  await tab.goto(pathToFileURL(join(pages, `${page}.html`)).href);
  await tab.waitForFunction(() => document.documentElement.dataset.ready === "yes", null, { timeout: 60_000 });
  for (const key of keys) {
    await tab.keyboard.press(key);
    await tab.waitForTimeout(80);
  }
  if (step) await tab.evaluate((words) => app.goStep(app.story.steps.findIndex((s) => s.text.startsWith(words))), step);
  await tab.waitForTimeout(250);
  await tab.screenshot({ path: join(pictures, `${name}.png`) });
  await tab.close();
}
await browser.close();
