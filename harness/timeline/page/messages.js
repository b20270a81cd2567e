// --- messages as arrows ------------------------------------------------------------------------------

/// More than so many on screen are folded to how many there are in each place.
const MOST_ARROWS = 2500;

function visibleMessages(lanes) {
  const { recording, view, app } = lanes;
  const [from, to] = [view.firstTime, view.lastTime];
  // What was sent long before may still be under way; only late copies are, so this is enough.
  const reach = Math.min(recording.maxFlight, 6e6);
  const list = recording.messages.slice(
    partition(recording.messages, (m) => m.sent >= from - reach), partition(recording.messages, (m) => m.sent > to));
  return list.filter((m) => (app.beats || !m.beat) && (m.lastArrival ?? m.sent + 1000) >= from
    && lanes.middle[m.from] !== undefined && lanes.middle[m.to] !== undefined);
}

function drawMessages(lanes) {
  const { c, app } = lanes;
  if (!app.beats) drawBeats(lanes);
  const list = visibleMessages(lanes);
  if (list.length > MOST_ARROWS) drawDensity(lanes, list);
  else {
    c.globalAlpha = lanes.steps ? 0.13 : list.length > 800 ? 0.55 : 0.9;
    for (const m of list) arrow(lanes, m);
    c.globalAlpha = 1;
  }
  if (app.call !== null) {
    for (const m of lanes.recording.messages) if (m.call === app.call && lanes.recording === app.recording) arrow(lanes, m, { bold: true });
  }
}

/// Heartbeats, folded: a dot on the lane of whoever has one.
function drawBeats(lanes) {
  const { c, view, recording } = lanes;
  const [from, to] = [view.firstTime, view.lastTime];
  const list = recording.byArrival;
  const last = new Map();
  c.fillStyle = colours.append;
  c.globalAlpha = lanes.steps ? 0.2 : 0.75;
  for (let i = partition(list, (m) => m.arrived >= from); i < list.length && list[i].arrived <= to; i++) {
    const m = list[i];
    if (!m.beat || m.reply || lanes.middle[m.to] === undefined) continue;
    const x = view.x(m.arrived);
    if (x - (last.get(m.to) ?? -9) < 3) continue;
    last.set(m.to, x);
    c.beginPath();
    c.arc(x, lanes.middle[m.to] + 22, 1.6, 0, 7);
    c.fill();
  }
  c.globalAlpha = 1;
}

function drawDensity(lanes, list) {
  const { c, view } = lanes;
  const width = 4, columns = new Map();
  for (const m of list) {
    const x = Math.floor(view.x(m.sent) / width);
    const key = m.from * 1e6 + x;
    columns.set(key, (columns.get(key) ?? 0) + 1);
  }
  const most = Math.max(...columns.values());
  c.fillStyle = colours.append;
  c.globalAlpha = lanes.steps ? 0.2 : 0.65;
  for (const [key, count] of columns) {
    const from = Math.floor(key / 1e6), x = (key % 1e6) * width;
    if (x < LEFT) continue;
    const h = 2 + 13 * Math.sqrt(count / most);
    c.fillRect(x, lanes.middle[from] + 21, width - 1, h);
  }
  c.globalAlpha = 1;
  lanes.text(`${number(list.length)} messages, shown as how many leave each server (at most ${number(most)} in a column): zoom in for arrows`,
    LEFT + 8, lanes.height - 9, { size: 11, colour: colours.dim });
}

function arrow(lanes, m, { bold = false } = {}) {
  const { c, view } = lanes;
  const x1 = view.x(m.sent), y1 = lanes.middle[m.from], y2 = lanes.middle[m.to];
  c.save();
  c.strokeStyle = c.fillStyle = colours[m.kind];
  c.lineWidth = bold ? 2.6 : 1.1;
  if (bold) c.globalAlpha = 1;
  c.setLineDash(m.reply ? [4, 3] : []);
  const end = (arrived) => {
    const x2 = view.x(arrived);
    lanes.line(x1, y1, x2, y2);
    head(c, x1, y1, x2, y2, bold ? 8 : 5);
  };
  if (m.arrived !== undefined) {
    if (m.fate === "late") c.setLineDash([1, 3]);
    end(m.arrived);
  } else {
    // It goes half of the way, and ends with a sign of what became of it.
    const sign = { lost: "✕", no_path: "⊘", late: "…", discarded: "○" }[m.fate] ?? "›";
    const x2 = x1 + Math.max(4, Math.min(14, (view.x(m.sent + 800) - x1))), y = y1 + (y2 - y1) * (m.fate === "no_path" ? 0.22 : 0.45);
    lanes.line(x1, y1, x2, y);
    c.setLineDash([]);
    lanes.text(sign, x2, y, { align: "center", size: bold ? 14 : 11, bold: true, colour: m.fate === "usual" ? colours.dim : colours.bad });
  }
  c.setLineDash([1, 3]);
  m.copies.forEach((arrived) => {
    end(arrived);
    lanes.text("×2", view.x(arrived) + 3, y2 + (y1 < y2 ? -9 : 9), { size: 9, colour: colours.warn });
  });
  c.restore();
}

function head(c, x1, y1, x2, y2, size) {
  const angle = Math.atan2(y2 - y1, x2 - x1);
  c.beginPath();
  c.moveTo(x2, y2);
  c.lineTo(x2 - size * Math.cos(angle - 0.4), y2 - size * Math.sin(angle - 0.4));
  c.lineTo(x2 - size * Math.cos(angle + 0.4), y2 - size * Math.sin(angle + 0.4));
  c.fill();
}

/// The message at a point of the picture, if there is one near.
function messageAt(lanes, x, y) {
  let best = null, least = 6;
  const list = visibleMessages(lanes);
  if (list.length > MOST_ARROWS) return null;
  for (const m of list) {
    for (const arrived of [m.arrived, ...m.copies]) {
      const x1 = lanes.view.x(m.sent), y1 = lanes.middle[m.from];
      const [x2, y2] = arrived === undefined ? [x1 + 10, y1 + (lanes.middle[m.to] - y1) * 0.45] : [lanes.view.x(arrived), lanes.middle[m.to]];
      const length = (x2 - x1) ** 2 + (y2 - y1) ** 2 || 1;
      const part = Math.max(0, Math.min(1, ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length));
      const distance = Math.hypot(x - x1 - part * (x2 - x1), y - y1 - part * (y2 - y1));
      if (distance < least) [best, least] = [m, distance];
    }
  }
  return best;
}
