// --- words: the server at the cursor, the message chosen, events, rules --------------------------------

function drawState(app) {
  const { recording, server } = app;
  const section = $("state");
  section.replaceChildren();
  const event = app.cursorEvent(recording);
  const { states } = recording;
  const title = make("h2", "", `S${server} `);
  section.append(title);
  if (!states.isKnown(server)) title.append(make("small", "", states.isDerived(server) ? "shows nothing of itself; role and term are what its messages tell" : "shows nothing of itself"));
  else {
    const up = states.isUp(server, event);
    title.append(make("small", "", up ? "at the cursor" : "is down; what it was in before"));
    const [now, before] = [states.at(server, event), states.before(server, event)];
    const disk = states.hasDisk(server, event) ? states.at(server, event, "disk") : null;
    section.append(factsOf(now, before, disk));
    if (!disk) section.append(make("p", "hint", "What is on its disk is not known here."));
  }
  const saves = states.tracks[server].saves;
  const saved = saves[partition(saves, (s) => s.event > event) - 1];
  if (saved) section.append(make("p", "hint", `Last saved ${number(saved.bytes)} bytes at ${seconds(saved.at)}.`));
  section.append(make("p", "hint", heard(recording, server, app.t)));
  if (app.call !== null) section.append(messageOf(recording, app.call));
}

function factsOf(now, before, disk) {
  const table = make("table", "facts");
  table.append(make("thead", "", make("tr", "", make("th", "", ""), make("th", "", "in memory"), make("th", "", disk ? "on disk" : ""))));
  const who = (server) => (server < 0 ? "–" : `S${server}`);
  const end = (state) => {
    const { index, term } = lastOf(state);
    return index ? `T${term}:i${index}` : "empty";
  };
  const rows = [
    ["role", (s) => s.role, false], ["term", (s) => `T${s.term}`, true], ["vote", (s) => who(s.vote), true],
    ["leader", (s) => who(s.leader), false], ["log ends", end, true],
    ["snapshot", (s) => (s.base[0] ? `T${s.base[1]}:i${s.base[0]}` : "–"), true],
    ["commit", (s) => `i${s.commit}`, false], ["applied", (s) => `i${s.applied}`, false],
  ];
  for (const [name, show, kept] of rows) {
    const [old, value] = [show(before), show(now)];
    const cell = make("td", old !== value ? "changed" : "");
    if (old !== value) cell.append(make("span", "was", old));
    cell.append(value);
    const stored = disk && kept ? show(disk) : "";
    const unsaved = disk && kept && stored !== value;
    table.append(make("tr", "", make("th", "", name), cell, make("td", unsaved ? "unsaved" : "", stored + (unsaved ? " (not the same)" : ""))));
  }
  if (now.role === "leader") {
    const text = now.followers.map(([s, next, match]) => `S${s} ${match}/${next}`).join(", ");
    table.append(make("tr", "", make("th", "", "match/next"), make("td", "", text || "not shown"), make("td", "")));
  }
  return table;
}

/// When the server last had a request: what its election timer goes by, as far as it can be seen.
function heard(recording, server, t) {
  const last = lastHeard(recording, server, t);
  return last ? `Last request: ${span(t - last.arrived)} ago, from ${recording.name(last.from)}.` : "It has had no request so far.";
}

function lastHeard(recording, server, t) {
  const list = recording.byArrival;
  for (let i = partition(list, (m) => m.arrived > t) - 1, n = 0; i >= 0 && n < 20000; i--, n++) {
    if (list[i].to === server && !list[i].reply) return list[i];
  }
  return null;
}

function messageOf(recording, n) {
  const call = recording.run.calls[n];
  const box = make("div", "message");
  box.append(make("h2", "", `${recording.method(call)} `, make("small", "", `${recording.name(call.from)} to ${recording.name(call.to)}`)));
  const leg = (name, part) => {
    if (!part) return box.append(make("p", "hint", `${name}: none`));
    const fate = { lost: "lost by the network", no_path: "found no path", late: "held back", discarded: "nobody waited for it" }[part.fate];
    const arrived = part.arrived !== undefined ? `arrived ${seconds(part.arrived)}, after ${span(part.arrived - part.sent)}` : "did not arrive";
    box.append(make("div", "", `${name}: sent ${seconds(part.sent)}, ${arrived}${fate ? "; " + fate : ""}, ${number(part.bytes)} bytes`));
    box.append(make("pre", "mono", pretty(recording.content(part))));
  };
  leg("request", call.request);
  (call.copies ?? []).forEach((at) => box.append(make("div", "hint", `a copy of the request arrived ${seconds(at)}`)));
  leg("reply", call.reply);
  return box;
}

function pretty(text) {
  if (text === undefined) return "(contents not recorded)";
  return text.replace(/"(\w+)":/g, "$1: ").replace(/,/g, ", ");
}

/// Rows of events round the cursor.
const AROUND = 40;

function drawEvents(app) {
  const tab = $("events");
  const { moments } = app.recording;
  const list = make("ul", "list");
  const middle = app.moment;
  const wanted = app.query.toLowerCase();
  let here = null;
  const shown = [];
  for (let i = middle, n = 0; i >= 0 && n < AROUND; i--) if (matches(moments[i], wanted)) (shown.unshift(moments[i]), n++);
  for (let i = middle + 1, n = 0; i < moments.length && n < AROUND; i++) if (matches(moments[i], wanted)) (shown.push(moments[i]), n++);
  for (const moment of shown) {
    const row = momentRow(app, moment);
    if (moment.i === middle) {
      row.classList.add("here");
      row.setAttribute("aria-current", "true");
      here = row;
    }
    list.append(row);
  }
  tab.replaceChildren(shown.length ? list : make("p", "hint", "Nothing found."));
  if (here) tab.scrollTop = here.offsetTop - tab.clientHeight / 2;
}

function matches(moment, wanted) {
  return !wanted || moment.text.toLowerCase().includes(wanted) || `s${moment.server}` === wanted;
}

function momentRow(app, moment) {
  const who = moment.server === undefined ? "" : app.recording.name(moment.server);
  const row = make("li", "", make("time", "", seconds(moment.at)), make("span", "who", who), make("span", "", moment.text));
  row.addEventListener("click", () => app.stop(moment));
  return row;
}

const RULES = [
  ["election_safety", "at most one leader in a term (5.2)"], ["leader_append_only", "a leader only appends to its log (5.3)"],
  ["log_matching", "equal entries, equal logs before them (5.3)"], ["leader_completeness", "leaders hold all that is committed (5.4)"],
  ["state_machine_safety", "one entry for an index (5.4.3)"], ["only_forward", "terms and commit indexes do not go back"],
  ["one_vote", "one vote in a term (5.2)"], ["majority", "a leader has a majority of votes (5.2)"],
  ["better_log", "votes go to logs at least as good (5.4.1)"], ["stored", "what is committed is on a majority (5.3)"],
  ["own_term", "counting commits entries of the own term only (5.4.2)"], ["persistence", "what was promised is on disk (Figure 2)"],
  ["in_order", "each index is applied once, in order (5.3)"], ["old_leader", "leaders of older terms are refused (5.1)"],
  ["newer_term", "whoever learns of a newer term is in it (5.1)"], ["consistency", "entries are taken behind the one they follow (5.3)"],
  ["followers", "what a leader believes of its followers is true (5.3)"], ["progress", "what a majority has is committed, and told (5.3)"],
  ["compaction", "a snapshot takes the place of what it includes (7)"], ["elections", "elections when there is no leader, and only then (5.2)"],
  ["speech", "leaders speak in time, and not too often"], ["locks", "no lock is held while something is waited for"],
  ["clients", "operations are executed once, then answered (8)"],
];

function drawRules(app) {
  const { findings } = app.story;
  const list = make("ul", "list");
  for (const [rule, text] of RULES) {
    const broken = findings.filter((f) => f.rule === rule);
    const state = broken.length ? "✕" : app.recording.states.isKnown(0) ? "✓" : "?";
    list.append(make("li", broken.length ? "wrong" : "", make("time", "", ""), make("span", "who", state), make("span", "", text)));
    for (const finding of broken) {
      const row = make("li", "", make("time", "", seconds(finding.at)), make("span", "who", app.recording.name(finding.server)), make("span", "", finding.text));
      row.addEventListener("click", () => app.goEvent(finding.event, finding.at, finding.server));
      list.append(row);
    }
  }
  $("rules").replaceChildren(list, make("p", "hint", "Judged by what servers show of themselves (Raft::view), at every message. ? means that nothing is shown."));
}
