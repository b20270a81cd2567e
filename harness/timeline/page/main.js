// --- the page's state, and what changes it -----------------------------------------------------------------

class App {
  constructor({ run, story, other }) {
    this.recording = new Recording(run);
    this.story = story;
    this.otherRecording = other ? new Recording(other) : null;
    const busy = this.allRecordings().flatMap((r) => [
      ...r.moments.map((m) => m.at), ...r.run.checks.flatMap((check) => (check.ok ? [] : [check.to])),
      ...r.run.operations.flatMap((op) => [op.from, op.to ?? op.from]), r.run.verdict?.at ?? 0,
    ]).sort((a, b) => a - b);
    const axis = new Axis(busy, Math.max(...this.allRecordings().map((r) => r.end)));
    this.view = new View(axis, LEFT);
    this.comparison = other ? new Comparison(this.recording, this.otherRecording) : null;
    this.lanes = new Lanes(this.recording, $("lanes"), this.view, this.comparison);
    this.all = [this.lanes];
    this.t = run.verdict?.at ?? 0;
    this.moment = 0;
    this.exact = null;
    const wrong = story.findings.find((finding) => finding.server < run.servers); // not a client
    this.server = wrong?.server ?? story.subject.servers.at(-1) ?? 0;
    this.call = null;
    this.why = false;
    this.step = -1;
    this.beats = false;
    this.query = "";
    this.tab = "events";
    this.playing = null;
    if (other) this.addOther();
  }

  allRecordings() {
    return this.otherRecording ? [this.recording, this.otherRecording] : [this.recording];
  }

  addOther() {
    const { run } = this.otherRecording;
    const canvas = make("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", "the other run");
    canvas.style.cssText = "display:block;width:100%;cursor:crosshair";
    const outcome = run.verdict ? `FAIL ${run.verdict.title}` : "passed";
    $("stage").append(make("p", "hint", `the other run: ${run.test} seed ${run.seed}, ${outcome}. ${this.comparison.sentence}`), canvas);
    this.all.push(new Lanes(this.otherRecording, canvas, this.view, this.comparison));
  }

  storyOf(recording) {
    return recording === this.recording ? this.story : { findings: [], steps: [] };
  }

  /// Number of the last event that has happened at the cursor.
  cursorEvent(recording) {
    if (recording === this.recording && this.exact !== null) return this.exact;
    return partition(recording.run.events, (event) => event.at > this.t) - 1;
  }

  // --- going places ---

  goTime(t, reveal = true) {
    this.t = Math.max(0, Math.min(t, this.view.axis.end));
    this.exact = null;
    this.moment = Math.max(0, partition(this.recording.moments, (m) => m.at > this.t) - 1);
    if (reveal) this.view.reveal(this.t);
    this.show();
  }

  stop(moment, reveal = true) {
    this.t = moment.at;
    this.exact = moment.event ?? null;
    this.moment = moment.i;
    this.call = moment.call ?? null;
    if (moment.server !== undefined && moment.server < this.recording.servers) this.server = moment.server;
    if (reveal) this.view.reveal(this.t);
    this.show();
  }

  walk(list, by) {
    if (!list?.length) return;
    const i = partition(list, (m) => m.i >= this.moment);
    const on = list[i]?.i === this.moment;
    const next = by > 0 ? list[on ? i + 1 : i] : list[i - 1];
    if (next) this.stop(next);
  }

  walkFindings(by) {
    const { findings } = this.story;
    const list = by > 0 ? findings : [...findings].reverse();
    const next = list.find((f) => (by > 0 ? f.at > this.t : f.at < this.t)) ?? list[0];
    if (next) this.goEvent(next.event, next.at, next.server);
  }

  goEvent(event, at, server) {
    this.t = at;
    const moment = this.recording.moments.find((m) => m.event === event);
    this.exact = event;
    this.moment = moment ? moment.i : Math.max(0, partition(this.recording.moments, (m) => m.at > at) - 1);
    if (server < this.recording.servers) this.server = server; // and not a client
    this.call = null;
    this.near(at);
    this.show();
  }

  /// A scale on which single messages can be told apart.
  near(t) {
    if (this.view.to - this.view.from > 400e3) this.view.frame(t - 60e3, t + 15e3);
    else this.view.reveal(t);
  }

  goVerdict() {
    const { verdict } = this.recording.run;
    const at = verdict ? verdict.at : this.story.findings[0]?.at;
    if (at === undefined) return;
    this.call = null;
    // What did not happen is seen over the time in which it was waited for.
    const failed = this.recording.run.checks.find((check) => !check.ok);
    if (verdict?.kind === "liveness" && failed) this.view.frame(failed.from, at);
    else this.near(at);
    this.goTime(at);
  }

  goDifference() {
    const at = this.comparison?.here?.at ?? this.comparison?.there?.at;
    if (at === undefined) return;
    this.near(at);
    this.goTime(at);
  }

  toggleWhy() {
    this.why = !this.why;
    if (this.why) {
      this.openTab("steps");
      const { steps } = this.story;
      if (steps.length) {
        this.view.frame(steps[0].at, steps.at(-1).at);
        const wrong = steps.findIndex((step) => step.wrong);
        return this.goStep(wrong < 0 ? steps.length - 1 : wrong);
      }
    }
    this.show();
  }

  goStep(n) {
    const step = this.story.steps[n];
    if (!step) return;
    this.step = n;
    this.t = step.at;
    this.exact = step.event;
    this.call = step.call;
    if (step.server < this.recording.servers) this.server = step.server;
    this.moment = Math.max(0, partition(this.recording.moments, (m) => m.at > step.at) - 1);
    this.view.reveal(step.at);
    this.show();
  }

  choose(server) {
    this.server = server;
    this.show();
  }

  click(lanes, x, y) {
    if (x < LEFT) {
      const row = lanes.rows.find((r) => r.kind === "server" && y >= r.y && y < r.y + r.h);
      return row && this.choose(row.server);
    }
    const row = lanes.rows.find((r) => y >= r.y && y < r.y + r.h);
    if (lanes.recording === this.recording) {
      const message = messageAt(lanes, x, y);
      if (message) {
        this.call = message.call;
        this.server = message.from < lanes.recording.servers ? message.from : message.to;
        return this.goTime(message.sent, false);
      }
      const t = this.view.t(x);
      const own = row?.kind === "server" ? lanes.recording.byServer[row.server] : lanes.recording.moments;
      if (row?.kind === "server") this.server = row.server;
      const i = partition(own, (m) => m.at > t);
      const near = [own[i - 1], own[i]].filter((m) => m && Math.abs(this.view.x(m.at) - x) < 7)[0];
      this.call = null;
      if (near) return this.stop(near, false);
    }
    this.goTime(this.view.t(x), false);
  }

  hover(lanes, x, y) {
    const tip = $("tip");
    const message = x > LEFT ? messageAt(lanes, x, y) : null;
    const row = lanes.rows.find((r) => y >= r.y && y < r.y + r.h);
    let text = "";
    if (message) {
      const name = lanes.recording.method(lanes.recording.run.calls[message.call]);
      const fate = { lost: ", lost", no_path: ", no path", late: ", held back", discarded: ", nobody waited" }[message.fate] ?? "";
      text = `${message.reply ? "answer to " : ""}${name}, ${lanes.recording.name(message.from)} to ${lanes.recording.name(message.to)}${fate}: ${lanes.recording.brief(message)}`;
    } else if (row?.kind === "rules") {
      const finding = this.storyOf(lanes.recording).findings.find((f) => Math.abs(this.view.x(f.at) - x) < 7);
      text = finding?.text ?? "";
    } else if (row?.kind === "links") {
      const t = this.view.t(x);
      text = lanes.recording.links.filter((l) => l.down.some((d) => d.from <= t && t < d.to)).map((l) => `S${l.from}→S${l.to}`).join(" ");
      text = text && "down: " + text;
    } else if (row?.kind === "client") {
      const t = this.view.t(x);
      const op = row.operations.find((o) => o.from <= t && t <= (o.to ?? lanes.recording.end));
      text = op ? `${op.client}: ${op.call}${op.answer ? " → " + op.answer : ""}` : "";
    } else if (row?.kind === "checks") {
      const t = this.view.t(x);
      text = lanes.recording.run.checks.filter((k) => k.from <= t && t <= k.to).map((k) => (k.ok ? "✓ " : "✕ ") + k.what).join("; ");
    }
    tip.hidden = !text;
    tip.textContent = text;
    const stage = $("stage").getBoundingClientRect(), own = lanes.canvas.getBoundingClientRect();
    tip.style.left = Math.max(0, Math.min(x + 14, this.view.width - 320)) + "px";
    tip.style.top = own.top - stage.top + $("stage").scrollTop + y + 16 + "px";
  }

  // --- switches ---

  toggle(name) {
    this[name] = !this[name];
    this.show();
  }

  toggleFolds() {
    const [from, to] = [this.view.firstTime, this.view.lastTime];
    this.view.axis.fold(!this.view.axis.folded);
    this.view.set(this.view.axis.toU(from), this.view.axis.toU(to));
    this.show();
  }

  toggleHelp() {
    const dialog = $("keys");
    if (dialog.open) return dialog.close();
    const list = make("dl");
    HELP.forEach(([key, text]) => list.append(make("dt", "", key), make("dd", "", text)));
    dialog.replaceChildren(make("h2", "", "Keys"), list, make("h2", "", "Signs"), make("p", "", LEGEND));
    dialog.showModal();
    dialog.addEventListener("click", () => dialog.close(), { once: true });
  }

  openTab(name) {
    this.tab = name;
    document.querySelectorAll("[data-tab]").forEach((b) => b.setAttribute("aria-selected", String(b.dataset.tab === name)));
    for (const tab of document.querySelectorAll(".tab")) tab.hidden = tab.id !== name;
    this.drawTab();
  }

  togglePlay() {
    if (this.playing) {
      cancelAnimationFrame(this.playing);
      this.playing = null;
      return this.show();
    }
    if (this.tab !== "ring") this.openTab("ring");
    let last = performance.now();
    const step = (now) => {
      // Idle stretches pass as fast as they are narrow.
      const u = this.view.axis.toU(this.t) + (now - last) * 1000 * Number($("speed").value);
      last = now;
      if (u >= this.view.axis.length) return this.togglePlay();
      this.playing = requestAnimationFrame(step);
      this.goTime(this.view.axis.toT(u));
    };
    this.playing = requestAnimationFrame(step);
  }

  zoomAt() {
    const x = this.view.x(this.t);
    return x > LEFT && x < this.view.width ? x : (LEFT + this.view.width) / 2;
  }

  // --- drawing ---

  show() {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      this.draw();
    });
  }

  draw() {
    for (const lanes of this.all) lanes.draw(this);
    drawMap(this);
    const moment = this.recording.moments[this.moment];
    const who = moment && moment.server !== undefined ? this.recording.name(moment.server) + " " : "";
    $("now").textContent = `${seconds(this.t)}   ${moment ? (moment.at === this.t ? "" : "after: ") + who + moment.text : ""}`;
    $("why").setAttribute("aria-pressed", String(this.why));
    $("beats").setAttribute("aria-pressed", String(this.beats));
    $("folds").setAttribute("aria-pressed", String(this.view.axis.folded));
    $("play").setAttribute("aria-pressed", String(!!this.playing));
    drawLogs(this);
    drawState(this);
    this.drawTab();
    this.writeFragment();
  }

  drawTab() {
    ({ events: drawEvents, steps: drawSteps, rules: drawRules, ring: drawRing })[this.tab](this);
  }

  // --- this moment, as the end of the address ---

  writeFragment() {
    if (this.playing) return;
    const { view } = this;
    const parts = [`t=${Math.round(this.t)}`, `s=${this.server}`, `view=${Math.round(view.firstTime)}-${Math.round(view.lastTime)}`];
    if (this.exact !== null) parts.push(`event=${this.exact}`);
    if (this.call !== null) parts.push(`call=${this.call}`);
    if (this.why) parts.push("why");
    this.fragment = "#" + parts.join("&");
    history.replaceState(null, "", this.fragment);
  }

  readFragment() {
    if (!location.hash || location.hash === this.fragment) return false;
    const parts = new Map(location.hash.slice(1).split("&").map((part) => part.split("=")));
    const whole = (name) => (/^\d+$/.test(parts.get(name) ?? "") ? Number(parts.get(name)) : null);
    if (whole("t") === null) return false;
    const [from, to] = (parts.get("view") ?? "").split("-").map(Number);
    if (to > from) this.view.set(this.view.axis.toU(from), this.view.axis.toU(to));
    this.server = Math.min(whole("s") ?? 0, this.recording.servers - 1);
    this.why = parts.has("why");
    if (this.why) this.openTab("steps");
    const call = whole("call");
    this.goTime(whole("t"));
    this.call = call !== null && call < this.recording.run.calls.length ? call : null;
    const event = whole("event");
    if (event !== null && event < this.recording.run.events.length) this.exact = event;
    return true;
  }
}

const LEGEND = "Lanes: colour and number are the term; a thick band leads, a hatched one asks for votes, a thin one follows. "
  + "✝ crash, ↑ restart. Ticks below: saves. Above: ▲ commit, • apply, ◆ snapshot. Dots below: heartbeats. "
  + "Arrows: solid requests, dashed answers; ✕ lost, ⊘ no path, … held back, ○ nobody waited, ×2 a second copy. "
  + "Violet votes, blue appends, teal snapshots, green clients. Grey stretches are folded idle time.";

/// The whole run, small: terms, faults, findings, and what part is on screen.
function drawMap(app) {
  const canvas = $("map");
  const ratio = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, 30];
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const c = canvas.getContext("2d");
  c.setTransform(ratio, 0, 0, ratio, 0, 0);
  const { recording, view } = app;
  const x = (t) => (view.axis.toU(t) / view.axis.length) * width;
  const each = 22 / recording.servers;
  recording.states.bands.forEach((bands, s) => {
    for (const band of bands) {
      c.fillStyle = termColour(band.term, band.role === "leader" ? 1 : 0.3);
      c.fillRect(x(band.from), 4 + s * each, Math.max(0.6, x(band.to) - x(band.from)), Math.max(1, each - 1));
    }
  });
  c.fillStyle = colours.warn;
  for (const fault of recording.faults) c.fillRect(x(fault.at), 26, 1, 4);
  c.fillStyle = colours.bad;
  for (const finding of app.story.findings) c.fillRect(x(finding.at) - 1, 0, 2.5, 30);
  if (recording.run.verdict) c.fillRect(x(recording.run.verdict.at) - 1, 0, 2.5, 30);
  c.strokeStyle = colours.text;
  c.lineWidth = 1.5;
  const [a, b] = [(view.from / view.axis.length) * width, (view.to / view.axis.length) * width];
  c.strokeRect(a + 0.75, 1, Math.max(3, b - a - 1.5), 28);
  c.fillStyle = colours.text;
  c.fillRect(x(app.t) - 0.5, 0, 1.5, 30);
}

async function start() {
  readColours();
  const app = new App(await unpack($("data").textContent));
  $("data").remove(); // its memory is better used
  window.app = app; // for tests, and for those who look with the browser's console
  tellVerdict(app);
  const keys = [...new Set(app.recording.run.operations.map((op) => op.key))];
  if (keys.length) {
    $("keychoice").hidden = false;
    $("key").append(new Option("all", ""), ...keys.map((key) => new Option(key, "=" + key)));
    const culprit = app.recording.run.operations.find((op) => op.mark === "culprit");
    if (culprit && keys.length > 1) {
      $("key").value = "=" + culprit.key;
      app.lanes.key = culprit.key;
      app.lanes.arrange();
    }
  }
  listen(app);
  app.openTab(app.recording.run.verdict ? "steps" : "events");
  if (!app.readFragment()) {
    if (app.comparison) app.goDifference();
    else if (app.recording.run.verdict) app.goVerdict();
    else app.goTime(0);
  }
  app.draw();
  document.documentElement.dataset.ready = "yes";
}

start().catch((error) => {
  document.body.prepend(make("p", "", `This page could not be drawn: ${error}`));
  throw error;
});
