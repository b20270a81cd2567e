// --- the rows of the picture ------------------------------------------------------------------------

const LEFT = 92;
const LANE = { leader: 20, candidate: 13, follower: 6 };

/// What is drawn where, from top to bottom.
function layOut(recording, keyOnly) {
  const rows = [];
  let y = 0;
  const add = (kind, height, more = {}) => {
    rows.push({ kind, y, h: height, ...more });
    y += height;
  };
  add("axis", 22);
  if (recording.run.checks.length) add("checks", 20);
  add("rules", 18);
  const tops = recording.faults.length > 0;
  if (tops) add("faults", 20);
  if (recording.links.length) add("links", Math.min(60, 6 + recording.links.length * Math.max(1.5, Math.min(9, 54 / recording.links.length))));
  const operations = recording.run.operations.filter((op) => keyOnly === null || op.key === keyOnly);
  const clients = [...new Set(operations.map((op) => op.client))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const height = clients.length > 8 ? Math.max(5, 110 / clients.length) : 17;
  clients.forEach((client) => add("client", height, { client, operations: operations.filter((op) => op.client === client) }));
  if (clients.length) add("space", 6);
  const lane = recording.servers > 5 ? 50 : recording.servers > 3 ? 58 : 74;
  for (let s = 0; s < recording.servers; s++) add("server", lane, { server: s });
  return { rows, height: y + 4 };
}

/// The links' rows have names of their own if there is room.
function linksName(lanes) {
  return lanes.recording.links.length > 6 ? "links down" : "";
}

class Lanes {
  constructor(recording, canvas, view, compare = null) {
    Object.assign(this, { recording, canvas, view, compare });
    this.key = null;
    this.arrange();
  }

  arrange() {
    const { rows, height } = layOut(this.recording, this.key);
    this.rows = rows;
    this.height = height;
    this.middle = [];
    rows.filter((row) => row.kind === "server").forEach((row) => (this.middle[row.server] = row.y + row.h / 2));
    const clients = rows.filter((row) => row.kind === "client");
    this.recording.run.peers.forEach((name, peer) => {
      const row = clients.find((c) => c.client === name);
      if (row) this.middle[peer] = row.y + row.h / 2;
    });
  }

  draw(app) {
    const { canvas, view } = this;
    const ratio = devicePixelRatio || 1;
    const width = canvas.clientWidth;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(this.height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(this.height * ratio);
      canvas.style.height = this.height + "px";
    }
    view.width = width - 12;
    const c = canvas.getContext("2d");
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.fillStyle = colours.back;
    c.fillRect(0, 0, width, this.height);
    c.textBaseline = "middle";
    this.c = c;
    this.app = app;
    this.steps = app.why && app.story.steps.length ? app.story.steps : null;
    this.drawFolds();
    for (const row of this.rows) this["draw_" + row.kind]?.(row);
    drawMessages(this);
    this.drawSteps();
    this.drawNames();
    this.drawCursor();
  }

  get dim() {
    return this.steps ? 0.28 : 1;
  }

  drawFolds() {
    const { c, view } = this;
    for (const { from, to } of view.axis.folds) {
      const a = view.x(from), b = view.x(to);
      if (b < LEFT || a > view.width) continue;
      c.fillStyle = colours.soft;
      c.fillRect(Math.max(a, LEFT), 22, b - Math.max(a, LEFT), this.height);
      if (b - a > 30) this.text(span(to - from), (a + b) / 2, this.height - 7, { align: "center", size: 9, colour: colours.dim });
    }
  }

  draw_axis(row) {
    const { c, view } = this;
    const step = tickStep(view.to - view.from, view.width - LEFT);
    const last = view.lastTime;
    let right = -1e9;
    c.lineWidth = 1;
    const first = Math.max(0, Math.floor(view.firstTime / step) * step);
    const inFold = (t) => view.axis.folds.some((fold) => t > fold.from && t < fold.to);
    for (let t = first, n = 0; t <= last && n < 20000; n++) {
      const x = view.x(t);
      if (x >= LEFT && !inFold(t)) {
        c.strokeStyle = colours.line;
        c.beginPath();
        c.moveTo(x, 16);
        c.lineTo(x, this.height);
        c.stroke();
        const label = t >= 1e6 || step >= 1e5 ? seconds(t, Math.max(0, Math.min(6, 6 - Math.floor(Math.log10(step))))) : `${(t / 1e3).toFixed(Math.max(0, Math.min(3, 3 - Math.floor(Math.log10(step)))))} ms`;
        if (x > right + 6) {
          this.text(label, x + 3, row.y + 9, { size: 10.5, colour: colours.dim });
          right = x + 3 + c.measureText(label).width;
        }
      }
      t += step;
      const fold = view.axis.folds[partition(view.axis.folds, (f) => f.to > t)];
      if (fold && t > fold.from) t = Math.ceil(fold.to / step) * step;
    }
  }

  draw_checks(row) {
    const { c, view } = this;
    for (const check of this.recording.run.checks) {
      const a = Math.max(LEFT, view.x(check.from)), b = view.x(check.to);
      if (b < LEFT || a > view.width) continue;
      c.globalAlpha = this.dim;
      c.fillStyle = check.ok ? colours.soft : colours["bad-back"];
      c.strokeStyle = check.ok ? colours.line : colours.bad;
      c.fillRect(a, row.y + 2, Math.max(2, b - a), row.h - 4);
      c.strokeRect(a + 0.5, row.y + 2.5, Math.max(2, b - a - 1), row.h - 5);
      const text = (check.ok ? "✓ " : "✕ ") + check.what;
      if (b - a > 26) this.text(text, a + 4, row.y + row.h / 2, { size: 10.5, max: b - a - 6, colour: check.ok ? colours.text : colours.bad });
      c.globalAlpha = 1;
    }
  }

  draw_rules(row) {
    const { c, view } = this;
    const { findings } = this.app.storyOf(this.recording);
    const y = row.y + row.h / 2;
    const first = findings.length ? view.x(findings[0].at) : view.x(this.recording.end);
    c.lineWidth = 3;
    c.strokeStyle = colours.good;
    this.line(LEFT, y, Math.min(Math.max(first, LEFT), view.width), y);
    if (findings.length) {
      c.strokeStyle = colours.bad;
      c.setLineDash([3, 3]);
      this.line(Math.max(first, LEFT), y, Math.max(view.x(this.recording.end), LEFT), y);
      c.setLineDash([]);
    }
    c.lineWidth = 1;
    for (const finding of findings) {
      const x = view.x(finding.at);
      if (x < LEFT || x > view.width) continue;
      this.text("▼", x, y, { align: "center", size: 13, colour: colours.bad });
    }
    const verdict = this.recording.run.verdict;
    if (verdict) {
      const x = view.x(verdict.at);
      if (x >= LEFT) this.text("✕", x, y, { align: "center", size: 15, colour: colours.bad, bold: true });
    }
  }

  draw_faults(row) {
    const { c, view } = this;
    let right = -1e9;
    for (const fault of this.recording.faults) {
      const x = view.x(fault.at);
      if (x < LEFT || x > view.width) continue;
      c.globalAlpha = this.dim;
      c.fillStyle = colours.warn;
      c.fillRect(x - 1, row.y + 2, 2, row.h - 4);
      if (fault.kind === "fault" && x > right + 4) {
        this.text(fault.text, x + 4, row.y + row.h / 2, { size: 10.5, colour: colours.warn });
        right = x + 4 + c.measureText(fault.text).width;
      }
      c.globalAlpha = 1;
    }
  }

  draw_links(row) {
    const { c, view, recording } = this;
    const each = (row.h - 4) / recording.links.length;
    c.globalAlpha = this.dim;
    recording.links.forEach((link, n) => {
      const y = row.y + 2 + n * each;
      c.fillStyle = colours.warn;
      for (const { from, to } of link.down) {
        const a = Math.max(LEFT, view.x(from)), b = Math.min(view.width, view.x(to));
        if (b > a) c.fillRect(a, y, Math.max(1, b - a), Math.max(1.5, each - 1));
      }
      if (each >= 7) this.text(`S${link.from}→S${link.to}`, LEFT - 4, y + each / 2, { align: "right", size: 8.5, colour: colours.dim });
    });
    c.globalAlpha = 1;
  }

  draw_client(row) {
    const { c, view } = this;
    for (const op of row.operations) {
      const a = Math.max(LEFT, view.x(op.from)), b = view.x(op.to ?? this.recording.end);
      if (b < LEFT || a > view.width) continue;
      c.globalAlpha = op.mark ? 1 : this.dim;
      c.fillStyle = op.mark === "culprit" ? colours["bad-back"] : op.mark ? colours["warn-back"] : colours.soft;
      c.strokeStyle = op.mark === "culprit" ? colours.bad : op.mark ? colours.warn : colours.client;
      c.lineWidth = op.mark ? 2 : 1;
      if (op.to === undefined) c.setLineDash([4, 3]);
      const h = Math.max(3, row.h - 3);
      c.fillRect(a, row.y + 1, Math.max(1.5, b - a), h);
      if (b - a > 3) c.strokeRect(a + 0.5, row.y + 1.5, b - a - 1, h - 1);
      c.setLineDash([]);
      c.lineWidth = 1;
      if (op.point !== undefined && row.h > 8) {
        c.fillStyle = colours.client;
        c.fillRect(view.x(op.point) - 1, row.y + 1, 2.5, h);
      }
      if (b - a > 26 && row.h > 10) {
        const sign = op.mark === "culprit" ? "✕ " : op.mark ? "! " : "";
        this.text(sign + op.call + (op.answer ? " → " + op.answer : op.to === undefined ? " …" : ""), a + 4, row.y + row.h / 2,
          { size: 10.5, max: b - a - 6, bold: !!op.mark });
      }
      c.globalAlpha = 1;
    }
  }

  draw_server(row) {
    const { c, view, recording } = this;
    const y = row.y + row.h / 2, s = row.server;
    if (s === this.app.server) {
      c.fillStyle = colours.soft;
      c.fillRect(0, row.y + 1, this.canvas.clientWidth, row.h - 2);
    }
    c.strokeStyle = colours.line;
    c.setLineDash([2, 4]);
    this.line(LEFT, y, view.width, y);
    c.setLineDash([]);
    c.globalAlpha = this.steps ? 0.55 : 1;
    for (const band of recording.states.bands[s]) {
      const a = Math.max(LEFT, view.x(band.from)), b = Math.min(view.width, view.x(band.to));
      if (b < LEFT || a > view.width || b <= a) continue;
      const h = LANE[band.role];
      c.fillStyle = termColour(band.term);
      c.fillRect(a, y - h / 2, Math.max(1.5, b - a), h);
      if (band.role === "candidate") this.hatch(a, y - h / 2, b - a, h);
      if (band.role === "leader" && b - a > 3) {
        c.strokeStyle = colours.text;
        c.strokeRect(a + 0.5, y - h / 2 + 0.5, b - a - 1, h - 1);
      }
      if (b - a > 24) {
        const label = `T${band.term} ${{ leader: "leads", candidate: "asks", follower: "" }[band.role]}`.trim();
        if (band.role === "candidate") {
          c.fillStyle = termColour(band.term);
          c.fillRect(a, y - h / 2, Math.min(b - a, 50), h);
        }
        if (band.role === "follower") this.text(label, a + 2, y - 9, { size: 9.5, colour: colours.dim, max: b - a });
        else this.text(label, a + 4, y + 0.5, { size: 11, bold: true, colour: colours.back, max: b - a - 4 });
      }
    }
    this.drawTicks(row, y);
    for (const life of recording.states.tracks[s].life) {
      const x = view.x(life.at);
      if (x < LEFT || x > view.width || life.up && life.at < 1000) continue;
      this.text(life.up ? "↑" : "✝", x, y + (life.up ? -1 : 0), { align: "center", size: 17, bold: true, colour: life.up ? colours.good : colours.bad });
    }
    c.globalAlpha = 1;
  }

  /// Saves below the band; commits, applies and snapshots above it.
  drawTicks(row, y) {
    const { c, view, recording } = this;
    const track = recording.states.tracks[row.server];
    const visible = (list) => list.slice(partition(list, (e) => e.at >= view.firstTime), partition(list, (e) => e.at > view.lastTime));
    c.fillStyle = colours.dim;
    const saves = visible(track.saves);
    let lastX = -9;
    for (const save of saves) {
      const x = view.x(save.at);
      if (x - lastX < 1) continue;
      lastX = x;
      c.fillRect(x - 0.5, y + 12, 1.5, 6);
    }
    const places = { commit: [17, "▲", colours.good], applied: [12, "•", colours.text], snapshot: [19, "◆", colours.install] };
    const room = new Map();
    for (const mark of visible(track.marks)) {
      const x = view.x(mark.at);
      const [up, sign, colour] = places[mark.kind];
      if (x - (room.get(mark.kind) ?? -99) < 5) continue;
      room.set(mark.kind, x);
      this.text(sign, x, y - up, { align: "center", size: mark.kind === "applied" ? 11 : 8, colour });
      if (mark.kind === "commit" && x - (room.get("label") ?? -99) > 24) {
        this.text(String(mark.index), x + 5, y - up - 1, { size: 8.5, colour });
        room.set("label", x);
      }
    }
  }

  hatch(x, y, w, h) {
    const { c } = this;
    c.save();
    c.beginPath();
    c.rect(x, y, w, h);
    c.clip();
    c.strokeStyle = colours.back;
    c.lineWidth = 1.5;
    for (let i = -h; i < Math.min(w, 4000); i += 6) this.line(x + i, y + h, x + i + h, y);
    c.restore();
  }

  drawSteps() {
    if (!this.steps) return;
    const { c, view, recording } = this;
    this.steps.forEach((step, n) => {
      if (step.call !== null) {
        const call = recording.run.calls[step.call];
        const reply = call.to !== step.server;
        const leg = reply ? call.reply : call.request;
        const [from, to] = reply ? [call.to, call.from] : [call.from, call.to];
        if (leg) arrow(this, { from, to, sent: leg.sent, arrived: leg.arrived ?? step.at, fate: "usual", reply, kind: kindOf(recording.method(call)), copies: [] }, { bold: true });
      }
    });
    let right = new Map();
    this.steps.forEach((step, n) => {
      const x = view.x(step.at), y = this.middle[step.server];
      if (x < LEFT || x > view.width) return;
      c.beginPath();
      c.arc(x, y, step.wrong ? 8 : 6.5, 0, 7);
      c.fillStyle = step.wrong ? colours.bad : colours.mark;
      if ((right.get(step.server) ?? -99) > x - 9) c.globalAlpha = 0.85;
      right.set(step.server, x);
      c.fill();
      c.globalAlpha = 1;
      c.strokeStyle = colours.back;
      c.stroke();
      this.text(String(n + 1), x, y + 0.5, { align: "center", size: 9, bold: true, colour: colours.back });
    });
  }

  drawNames() {
    const { c } = this;
    c.fillStyle = colours.back;
    for (const row of this.rows) {
      const names = { axis: "time", checks: "test", rules: "rules", faults: "faults", links: linksName(this), client: row.client, server: "" };
      const name = names[row.kind];
      if (row.kind !== "links" || name) {
        c.fillStyle = row.server === this.app.server ? colours.soft : colours.back;
        c.fillRect(0, row.y + 1, LEFT - 1, row.h - 1);
      }
      if (name && row.h > 8) this.text(name, 8, row.y + row.h / 2, { size: 11, colour: colours.dim, max: LEFT - 12 });
      if (row.kind === "server") this.drawServerName(row);
    }
    c.strokeStyle = colours.line;
    this.line(LEFT - 0.5, 0, LEFT - 0.5, this.height);
  }

  drawServerName(row) {
    const { app, recording } = this;
    const y = row.y + row.h / 2, s = row.server;
    const event = app.cursorEvent(recording);
    this.text(`S${s}`, 8, y - 7, { size: 14, bold: true });
    const up = recording.states.isUp(s, event);
    if (!up) return this.text("down", 8, y + 8, { size: 10.5, colour: colours.bad });
    const derived = recording.states.isDerived(s);
    if (!derived && !recording.states.isKnown(s)) return;
    const state = recording.states.at(s, event);
    const sign = { leader: "● leads", candidate: "◐ asks", follower: "○ follows" }[state.role];
    this.text(sign, 30, y - 7, { size: 10.5 });
    if (derived) return this.text(`T${state.term}, as told`, 8, y + 8, { size: 10.5, colour: colours.dim, max: LEFT - 10 });
    const last = lastOf(state);
    this.text(`T${state.term} i${last.index} c${state.commit}`, 8, y + 8, { size: 10.5, colour: colours.dim, max: LEFT - 10 });
  }

  drawCursor() {
    const { c, view, app, recording } = this;
    const verdict = recording.run.verdict;
    if (verdict) {
      const x = view.x(verdict.at);
      if (x >= LEFT && x <= view.width) {
        c.strokeStyle = colours.bad;
        c.setLineDash([5, 4]);
        this.line(x, 22, x, this.height);
        c.setLineDash([]);
      }
    }
    if (this.compare) this.compare.drawMark(this);
    const x = view.x(app.t);
    if (x < LEFT || x > view.width) return;
    c.strokeStyle = colours.text;
    c.lineWidth = 1.5;
    this.line(x, 14, x, this.height);
    c.lineWidth = 1;
    c.fillStyle = colours.text;
    c.beginPath();
    c.moveTo(x - 5, 10);
    c.lineTo(x + 5, 10);
    c.lineTo(x, 17);
    c.fill();
  }

  line(x1, y1, x2, y2) {
    const { c } = this;
    c.beginPath();
    c.moveTo(x1, y1);
    c.lineTo(x2, y2);
    c.stroke();
  }

  text(text, x, y, { size = 11, colour = colours.text, align = "left", bold = false, max = 0 } = {}) {
    const { c } = this;
    c.font = `${bold ? "bold " : ""}${size}px system-ui, sans-serif`;
    c.textAlign = align;
    c.fillStyle = colour;
    if (max > 0 && c.measureText(text).width > max) {
      if (max < 14) return;
      c.save();
      c.beginPath();
      c.rect(x, y - 12, max, 24);
      c.clip();
      c.fillText(text, x, y);
      c.restore();
    } else {
      c.fillText(text, x, y);
    }
  }
}
