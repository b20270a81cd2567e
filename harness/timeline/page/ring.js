// --- the cluster as a ring, with what is under way ---------------------------------------------------

/// An arc is full when the last request is so long ago; the usual election timeouts are above it.
const SILENCE = 400e3;

function drawRing(app) {
  const canvas = $("circle");
  const { recording } = app;
  const ratio = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!width || !height) return;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const c = canvas.getContext("2d");
  c.setTransform(ratio, 0, 0, ratio, 0, 0);
  c.clearRect(0, 0, width, height);
  c.textBaseline = "middle";
  c.textAlign = "center";
  const radius = Math.min(width * 0.42, height * 0.5) - 44;
  const place = (peer) => {
    const angle = (peer / recording.servers) * 2 * Math.PI - Math.PI / 2;
    return [width / 2 + radius * Math.cos(angle), height / 2 + radius * Math.sin(angle)];
  };
  const event = app.cursorEvent(recording);
  drawCuts(c, app, place);
  for (let s = 0; s < recording.servers; s++) drawNode(c, app, s, event, place(s));
  for (const m of underWay(recording, app.t)) {
    if (m.from >= recording.servers || m.to >= recording.servers) continue;
    const [x1, y1] = place(m.from), [x2, y2] = place(m.to);
    const part = 0.12 + 0.76 * m.part;
    const [x, y] = [x1 + (x2 - x1) * part, y1 + (y2 - y1) * part];
    c.fillStyle = c.strokeStyle = colours[m.kind];
    c.setLineDash(m.reply ? [3, 3] : []);
    c.beginPath();
    c.moveTo(x1 + (x2 - x1) * 0.12, y1 + (y2 - y1) * 0.12);
    c.lineTo(x, y);
    c.stroke();
    c.setLineDash([]);
    c.beginPath();
    c.arc(x, y, m.beat ? 3 : 6, 0, 7);
    m.reply ? c.stroke() : c.fill();
    if (m.sign) c.fillText(m.sign, x, y - 11);
  }
  c.textAlign = "left";
  c.font = "11px system-ui";
  c.fillStyle = colours.dim;
  c.fillText("Arc: how long ago it last had a request (full at 0.4 s; timers themselves are not seen).", 6, height - 8);
}

function drawNode(c, app, s, event, [x, y]) {
  const { states } = app.recording;
  const up = states.isUp(s, event);
  const state = states.at(s, event);
  c.beginPath();
  c.arc(x, y, 20, 0, 7);
  c.fillStyle = up ? termColour(state.term, state.role === "follower" ? 0.35 : 1) : colours.soft;
  c.fill();
  c.lineWidth = s === app.server ? 3 : 1;
  c.strokeStyle = up && state.role === "leader" ? colours.text : colours.dim;
  c.setLineDash(up ? [] : [3, 3]);
  c.stroke();
  c.setLineDash([]);
  const heard = up && lastHeard(app.recording, s, app.t);
  if (up && state.role !== "leader") {
    const part = heard ? Math.min(1, (app.t - heard.arrived) / SILENCE) : Math.min(1, app.t / SILENCE);
    c.beginPath();
    c.lineWidth = 4;
    c.strokeStyle = part >= 1 ? colours.bad : colours.warn;
    c.arc(x, y, 26, -Math.PI / 2, -Math.PI / 2 + part * 2 * Math.PI);
    c.stroke();
  }
  c.lineWidth = 1;
  c.fillStyle = colours.text;
  c.font = "bold 13px system-ui";
  c.fillText(`S${s}`, x, y - 4);
  c.font = "10px system-ui";
  c.fillText(up ? `T${state.term}` : "down", x, y + 9);
  if (up && (states.isKnown(s) || states.isDerived(s))) c.fillText({ leader: "● leads", candidate: "◐ asks", follower: "○" }[state.role], x, y + 36);
}

/// Links that are down at the cursor.
function drawCuts(c, app, place) {
  c.strokeStyle = colours.warn;
  c.setLineDash([2, 6]);
  for (const link of app.recording.links) {
    if (!link.down.some(({ from, to }) => from <= app.t && app.t < to)) continue;
    const [x1, y1] = place(link.from), [x2, y2] = place(link.to);
    c.beginPath();
    c.moveTo(x1, y1);
    c.lineTo((x1 + x2) / 2, (y1 + y2) / 2);
    c.stroke();
  }
  c.setLineDash([]);
}

/// Messages on the way at a time, and how far they are.
function underWay(recording, t) {
  const list = recording.messages;
  const found = [];
  const last = partition(list, (m) => m.sent > t);
  const reach = Math.min(recording.maxFlight, 6e6);
  for (let i = last - 1; i >= 0 && list[i].sent >= t - reach; i--) {
    const m = list[i];
    for (const arrived of [m.arrived, ...m.copies]) {
      if (arrived !== undefined && arrived > t) found.push({ ...m, part: (t - m.sent) / (arrived - m.sent) });
    }
    const gone = m.arrived === undefined && m.fate !== "usual" && t - m.sent < 2000;
    if (gone) found.push({ ...m, part: Math.min(0.5, (t - m.sent) / 2000), sign: m.fate === "lost" ? "✕" : "⊘" });
  }
  return found;
}
