"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const make = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};
const summary = data.summary;
const culprit = summary.marks.length ? summary.marks[0].op : -1;
const against = new Set(summary.marks.slice(1).map((mark) => mark.op));
const ROW = 38;
// Points stand in the lower part of a bar, below its label.
const POINT = 28;
const NOTES = 24;
// Some room after the last event: for operations that never returned, and for labels.
const END = Math.max(1, data.end * 1.04);

// Where each operation stands in the order of its key.
const place = new Map();
data.keys.forEach((key) => key.order.forEach((point, index) => place.set(point.op, index)));

// --- words ---------------------------------------------------------------------------------------

function time(ns) {
  if (ns === null) return "never";
  let digits = (ns / 1e9).toFixed(9).replace(/0+$/, "");
  const least = digits.indexOf(".") + 4;
  return digits.padEnd(least, "0") + " s";
}

/// Ticks need only the digits in which they differ.
function tickLabel(ns, step) {
  const units = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];
  const [size, unit] = units.find(([size]) => Math.max(ns, step) >= size) || units[3];
  const digits = Math.max(0, Math.ceil(Math.log10(size / step) - 1e-9));
  return (ns / size).toFixed(digits) + " " + unit;
}

function tail(text, length) {
  return text.length <= length ? text : "…" + text.slice(text.length - length);
}

function label(op) {
  if (op.end === "ok") return op.answer === null ? op.op : op.op + " → " + tail(op.answer, 28);
  if (op.end === "unseen") return op.op + " → ?";
  return op.op + (op.end === "open" ? " …" : "");
}

/// Where only one key is shown, its name need not be repeated.
function shortLabel(op) {
  const name = key >= 0 ? data.keys[key].name : "";
  const [first, second, ...rest] = op.op.split(" ");
  return label(second === name ? { ...op, op: [first, ...rest].join(" ") } : op);
}

function tellStory() {
  const kinds = { "linearizable": "ok", "not linearizable": "bad", "unknown": "unknown" };
  $("verdict").textContent = summary.verdict;
  $("verdict").className = kinds[summary.verdict];
  $("title").textContent = data.title;
  const link = (element, op, className, text) => {
    const a = make("a", className, text);
    a.addEventListener("click", () => show(op));
    element.append(a);
    return element;
  };
  const story = $("story");
  const headline = make("p", "headline");
  story.append(culprit < 0 ? make("p", "", summary.headline) : link(headline, culprit, "bad", summary.headline));
  if (summary.reason) story.append(make("p", "", summary.reason));
  if (summary.because.length) {
    const list = make("ul");
    summary.because.forEach((text, i) => {
      list.append(link(make("li"), summary.marks[i + 1].op, "against", text));
    });
    story.append(list);
  }
  if (summary.prefix) story.append(make("p", "", summary.prefix));
}

function drawLegend() {
  const entry = (style, className, text) => {
    const span = make("span");
    const sample = make("i", className);
    Object.assign(sample.style, style);
    span.append(sample, text);
    $("legend").append(span);
  };
  entry({}, "order", "the order found");
  entry({ background: "var(--read)", borderColor: "var(--read-edge)" }, "", "reads");
  entry({}, "", "others");
  if (data.ops.some((op) => op.end === "open")) entry({ borderStyle: "dashed" }, "", "never returned");
  if (data.ops.some((op) => op.end === "failed")) entry({ borderStyle: "dotted" }, "", "no effect");
  if (culprit >= 0) {
    entry({ background: "var(--bad-back)", borderColor: "var(--bad)" }, "", "cannot fit");
    if (against.size) {
      entry({ background: "var(--against-back)", borderColor: "var(--against)" }, "", "contradicts it");
    }
  }
  if (data.ops.some((op, i) => !place.has(i) && i !== culprit && op.end !== "failed")) {
    entry({ opacity: 0.4 }, "", "not in the order");
  }
}

// --- the picture ---------------------------------------------------------------------------------

let key = 0; // index of the key that is shown, or -1 for all
let width = 0; // of the time axis, in pixels
let chosen = -1;
let bars = new Map();

/// An operation reads if it returns something and its order never changes the state by it.
const readers = new Map();
data.keys.forEach((k) => {
  let before = null;
  k.order.forEach((point) => {
    const name = data.ops[point.op].op.split(" ")[0];
    if (before !== null && before !== point.state) readers.set(name, false);
    else if (!readers.has(name) && before !== null) readers.set(name, true);
    before = point.state;
  });
});

/// Gives each operation of a client a lane in which it overlaps no other.
function lanes(ops) {
  const ends = [];
  return ops.map((i) => {
    const op = data.ops[i];
    let lane = ends.findIndex((end) => end <= op.from);
    if (lane < 0) lane = ends.length;
    ends[lane] = op.to === null ? Infinity : op.to;
    return lane;
  });
}

function draw() {
  const rows = $("rows");
  rows.replaceChildren();
  bars = new Map();
  const layer = make("div");
  layer.id = "layer";
  const shown = data.ops.map((_, i) => i).filter((i) => key < 0 || data.ops[i].key === key);
  const byClient = data.clients.map(() => []);
  shown.forEach((i) => byClient[data.ops[i].client].push(i));
  const middle = new Map();
  let top = 0;
  if (data.notes.length) {
    const row = make("div", "row");
    row.style.height = NOTES + "px";
    row.append(make("div", "name", "events"));
    rows.append(row);
    top = NOTES;
  }
  byClient.forEach((ops, client) => {
    if (!ops.length) return;
    const lane = lanes(ops);
    const height = (Math.max(...lane) + 1) * ROW;
    const row = make("div", "row");
    row.style.height = height + "px";
    const name = make("div", "name", data.clients[client]);
    name.title = data.clients[client];
    row.append(name);
    rows.append(row);
    ops.forEach((i, n) => {
      const y = top + lane[n] * ROW;
      middle.set(i, y + POINT);
      const bar = drawBar(i, y + 4);
      bars.set(i, bar);
      layer.append(bar);
    });
    top += height;
  });
  const notes = [...data.notes].sort((a, b) => a.from - b.from);
  notes.forEach((note, i) => {
    const mark = make("div", "note");
    mark.style.left = percent(note.from);
    mark.style.width = percent(note.to - note.from);
    layer.prepend(mark);
    const text = make("div", "label", note.text);
    text.style.left = percent(note.from);
    // No wider than up to the next one.
    text.style.maxWidth = percent((i + 1 < notes.length ? notes[i + 1].from : END) - note.from);
    text.title = note.text + "\n" + time(note.from) + (note.to > note.from ? " to " + time(note.to) : "");
    layer.append(text);
  });
  drawOrders(layer, middle, top);
  rows.append(layer);
  rows.style.height = top + "px";
  setWidth(width);
  choose(bars.has(chosen) ? chosen : -1);
}

const percent = (ns) => (ns / END) * 100 + "%";

function drawBar(i, y) {
  const op = data.ops[i];
  const bar = make("div", "bar " + op.end, shortLabel(op));
  if (readers.get(op.op.split(" ")[0])) bar.classList.add("reads");
  if (i === culprit) bar.classList.add("bad");
  else if (against.has(i)) bar.classList.add("against");
  else if (!place.has(i) && op.end !== "failed") bar.classList.add("late");
  bar.style.left = percent(op.from);
  bar.style.width = percent((op.to === null ? END : op.to) - op.from);
  bar.style.top = y + "px";
  bar.title = data.clients[op.client] + ": " + label(op) + "\n" + time(op.from) + " to " + time(op.to);
  bar.addEventListener("click", () => choose(i));
  return bar;
}

function drawOrders(layer, middle, height) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.id = "line";
  if (key < 0) svg.setAttribute("class", "many");
  svg.setAttribute("viewBox", `0 0 10000 ${Math.max(1, height)}`);
  svg.setAttribute("preserveAspectRatio", "none");
  layer.append(svg);
  data.keys.forEach((k, index) => {
    if (key >= 0 && index !== key) return;
    const line = document.createElementNS(space, "polyline");
    const points = k.order.map((p) => `${((p.at / END) * 10000).toFixed(3)},${middle.get(p.op)}`);
    line.setAttribute("points", points.join(" "));
    if (key < 0) line.style.stroke = `hsl(${(index * 137) % 360} 60% 55%)`;
    svg.append(line);
    k.order.forEach((p) => {
      const dot = make("div", "dot");
      if (key < 0) dot.style.background = line.style.stroke;
      dot.style.left = percent(p.at);
      dot.style.top = middle.get(p.op) + "px";
      layer.append(dot);
    });
  });
  if (middle.has(culprit)) {
    const cross = make("div", "cross", "✕");
    cross.style.left = percent(data.ops[culprit].to);
    cross.style.top = middle.get(culprit) - POINT + ROW / 2 + "px";
    layer.append(cross);
  }
}

// --- moving about --------------------------------------------------------------------------------

const view = $("view");
const nameWidth = () => document.querySelector(".corner").offsetWidth;
const room = () => Math.max(100, view.clientWidth - nameWidth());

function setWidth(wanted) {
  width = Math.min(Math.max(wanted, room()), 4e6);
  $("sheet").style.width = width + nameWidth() + "px";
  const count = key < 0 ? data.ops.length : (data.keys[key] || { order: [] }).order.length;
  $("rows").classList.toggle("dense", width / Math.max(1, count) < 9);
  bars.forEach((bar, i) => {
    const op = data.ops[i];
    bar.classList.toggle("thin", (((op.to ?? END) - op.from) / END) * width < 30);
  });
  drawTicks();
}

/// Zooms about a place in the window, `x` pixels from the left of the time axis.
function zoom(factor, x = room() / 2) {
  const at = (view.scrollLeft + x) / width;
  setWidth(width * factor);
  view.scrollLeft = at * width - x;
}

/// Brings a span of time into the window.
function frame(from, to) {
  const span = Math.max(to - from, END / 1e5);
  setWidth((END / span) * room());
  view.scrollLeft = (from / END) * width;
}

function drawTicks() {
  const ticks = $("ticks");
  ticks.replaceChildren();
  document.querySelectorAll(".grid").forEach((line) => line.remove());
  const wish = (END / width) * 110;
  const power = 10 ** Math.floor(Math.log10(wish));
  const step = Math.max(1, [1, 2, 5, 10].find((m) => m * power >= wish) * power);
  const first = Math.floor(((view.scrollLeft - 200) / width) * END / step);
  const last = Math.ceil(((view.scrollLeft + view.clientWidth + 200) / width) * END / step);
  const layer = $("layer");
  for (let n = Math.max(0, first); n <= last && n * step <= END; n++) {
    const tick = make("div", "tick", tickLabel(n * step, step));
    tick.style.left = percent(n * step);
    ticks.append(tick);
    const line = make("div", "grid");
    line.style.left = percent(n * step);
    if (layer) layer.prepend(line);
  }
}

/// Shows an operation, in the picture and in words.
function show(i) {
  if (key >= 0 && data.ops[i].key !== key) selectKey(data.ops[i].key);
  choose(i);
  const bar = bars.get(i);
  const x = bar.offsetLeft, w = Math.min(bar.offsetWidth, room() * 0.8);
  if (x < view.scrollLeft + 20 || x + w > view.scrollLeft + room() - 20) {
    view.scrollLeft = x + w / 2 - room() / 2;
  }
  const y = bar.offsetTop;
  if (y < view.scrollTop || y + ROW * 2 > view.scrollTop + view.clientHeight - 30) {
    view.scrollTop = y - view.clientHeight / 2;
  }
}

/// Shows what cannot fit together with what it contradicts, if they are near enough to each other.
function showContradiction() {
  if (culprit < 0) return;
  if (key >= 0 && data.ops[culprit].key !== key) selectKey(data.ops[culprit].key);
  const ops = summary.marks.map((mark) => data.ops[mark.op]);
  const own = data.ops[culprit].to - data.ops[culprit].from;
  const ends = ops.map((op) => op.to ?? data.ops[culprit].to);
  let from = Math.min(...ops.map((op) => op.from)), to = Math.max(...ends);
  // A dozen operations' worth of surroundings, as far as there are so many.
  const near = data.ops.filter((op) => op.key === data.ops[culprit].key).length;
  const least = Math.max(own * 4, (END / Math.max(1, near)) * 12);
  const middle = (from + to) / 2;
  if (to - from > least * 6) [from, to] = [data.ops[culprit].to - least, data.ops[culprit].to];
  else if (to - from < least) [from, to] = [middle - least / 2, middle + least / 2];
  const margin = (to - from) * 0.12;
  from = Math.max(0, from - margin);
  frame(from, Math.min(END, to + margin));
  show(culprit);
}

function choose(i) {
  if (bars.has(chosen)) bars.get(chosen).classList.remove("chosen");
  chosen = i;
  const detail = $("detail");
  detail.replaceChildren();
  if (i < 0) {
    detail.append(make("p", "hint",
      "Click an operation for its details; ← and → follow the order. Ctrl and the wheel, or + and −, zoom; drag to move."));
    return;
  }
  bars.get(i).classList.add("chosen");
  const op = data.ops[i], k = data.keys[op.key], index = place.get(i);
  const list = make("dl");
  const line = (name, text) => list.append(make("dt", "", name), make("dd", "", text));
  line("operation", data.clients[op.client] + ": " + op.op);
  const answers = { ok: op.answer ?? "(nothing)", unseen: "? (not known)", open: "(it never returned)", failed: "(it had no effect)" };
  line("answer", answers[op.end]);
  line("from, to", time(op.from) + "  to  " + time(op.to));
  if (index !== undefined) {
    line("in the order", `number ${index + 1} of ${k.order.length}, at ${time(k.order[index].at)}`);
    line("state before", index ? k.order[index - 1].state : "(the first)");
    line("state after", k.order[index].state);
  } else if (i === culprit) {
    line("in the order", "there is no place for it");
    if (k.order.length) line("state then", k.order[k.order.length - 1].state);
  } else if (op.end !== "failed") {
    line("in the order", "not in it");
  }
  detail.append(list);
}

/// Goes along the order.
function walk(by) {
  const k = data.keys[chosen >= 0 ? data.ops[chosen].key : Math.max(0, key)];
  if (!k || !k.order.length) return;
  const from = place.get(chosen);
  const to = from === undefined ? (by > 0 && chosen !== culprit ? 0 : k.order.length - 1) : from + by;
  if (to >= 0 && to < k.order.length) show(k.order[to].op);
  else if (to >= k.order.length && culprit >= 0 && data.ops[culprit].key === data.keys.indexOf(k)) show(culprit);
}

function selectKey(index) {
  key = index;
  $("key").value = String(index);
  draw();
}

function start() {
  tellStory();
  drawLegend();
  const signs = { ok: "✓", bad: "✕", unknown: "?" };
  const counts = data.keys.map(() => 0);
  data.ops.forEach((op) => counts[op.key]++);
  const option = (value, text) => {
    const element = make("option", "", text);
    element.value = String(value);
    $("key").append(element);
  };
  data.keys.forEach((k, i) => option(i, `${signs[k.status]} ${k.name || '""'} (${counts[i]})`));
  if (data.keys.length !== 1) option(-1, `all keys (${data.ops.length})`);
  const worst = ["bad", "unknown"].map((s) => data.keys.findIndex((k) => k.status === s)).find((i) => i >= 0);
  key = worst ?? (data.keys.length ? 0 : -1);
  $("key").value = String(key);
  $("key").addEventListener("change", (event) => selectKey(Number(event.target.value)));
  $("in").addEventListener("click", () => zoom(1.6));
  $("out").addEventListener("click", () => zoom(1 / 1.6));
  $("fit").addEventListener("click", () => setWidth(0));
  $("jump").addEventListener("click", showContradiction);
  $("jump").hidden = culprit < 0;
  $("prev").addEventListener("click", () => walk(-1));
  $("next").addEventListener("click", () => walk(1));
  view.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 300), event.clientX - view.getBoundingClientRect().left - nameWidth());
  }, { passive: false });
  view.addEventListener("scroll", drawTicks);
  addEventListener("resize", () => setWidth(width));
  addEventListener("keydown", (event) => {
    if (event.target.tagName === "SELECT" || event.ctrlKey || event.metaKey || event.altKey) return;
    const keys = {
      "+": () => zoom(1.6), "=": () => zoom(1.6), "-": () => zoom(1 / 1.6), "0": () => setWidth(0),
      x: showContradiction, ArrowLeft: () => walk(-1), ArrowRight: () => walk(1),
    };
    if (keys[event.key]) {
      event.preventDefault();
      keys[event.key]();
    }
  });
  let drag = null;
  view.addEventListener("pointerdown", (event) => {
    if (event.button === 0) drag = { x: event.clientX, y: event.clientY, left: view.scrollLeft, top: view.scrollTop };
  });
  addEventListener("pointermove", (event) => {
    if (!drag) return;
    const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
    if (Math.abs(dx) + Math.abs(dy) > 4) view.classList.add("dragging");
    if (view.classList.contains("dragging")) {
      view.scrollLeft = drag.left - dx;
      view.scrollTop = drag.top - dy;
    }
  });
  addEventListener("pointerup", () => {
    drag = null;
    view.classList.remove("dragging");
  });
  draw();
  if (culprit >= 0) showContradiction();
  else choose(-1);
}

start();
