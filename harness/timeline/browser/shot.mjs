// node shot.mjs page.html picture.png [dark] [keys,separated,by,commas] [width] [height]
import { chromium } from "playwright-core";
import { pathToFileURL } from "node:url";

const [page, picture, scheme = "light", keys = "", width = "1500", height = "950"] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
});
const tab = await browser.newPage({ viewport: { width: Number(width), height: Number(height) }, colorScheme: scheme });
tab.on("console", (message) => console.log(message.type(), message.text()));
tab.on("pageerror", (error) => console.log("error", error.stack));
const began = Date.now();
await tab.goto(pathToFileURL(page).href);
await tab.waitForFunction(() => document.documentElement.dataset.ready === "yes", null, { timeout: 15000 });
console.log("ready after", Date.now() - began, "ms");
for (const key of keys.split(",").filter(Boolean)) {
  await tab.keyboard.press(key);
  await tab.waitForTimeout(80);
}
await tab.waitForTimeout(250);
await tab.screenshot({ path: picture });
await browser.close();
