// A run so many times in a row, to see how the page bears long ones: node repeat.mjs run.json times out.json
import { readFileSync, writeFileSync } from "node:fs";

const [from, times, to] = process.argv.slice(2);
const run = JSON.parse(readFileSync(from, "utf8"));
const shifted = (list, move) => [...Array(Number(times)).keys()].flatMap((n) => list.map((item) => move(structuredClone(item), n * run.end)));
const leg = (message, by) => {
  if (!message) return;
  message.sent += by;
  if (message.arrived !== undefined) message.arrived += by;
};
run.events = shifted(run.events, (event, by) => ({ ...event, at: event.at + by }));
run.calls = shifted(run.calls, (call, by) => {
  leg(call.request, by);
  leg(call.reply, by);
  if (call.copies) call.copies = call.copies.map((at) => at + by);
  return call;
});
run.checks = shifted(run.checks, (check, by) => ({ ...check, from: check.from + by, to: check.to + by }));
run.end *= Number(times);
run.verdict = null;
writeFileSync(to, JSON.stringify(run));
console.log(`${to}: ${run.calls.length} calls, ${run.events.length} events`);
