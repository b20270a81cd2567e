// --- the logs at the cursor, as a grid ---------------------------------------------------------------

/// So many indexes are shown side by side: as many as there is room for.
function columnsThatFit() {
  return Math.max(6, Math.floor(($("logs").clientWidth - 190) / 24));
}

function drawLogs(app) {
  const { recording } = app;
  const event = app.cursorEvent(recording);
  const section = $("logs");
  const scroll = section.scrollLeft;
  section.replaceChildren();
  const known = [...Array(recording.servers).keys()].filter((s) => recording.states.isKnown(s));
  section.append(make("h2", "", "logs at the cursor ", make("small", "", seconds(app.t))));
  if (!known.length) {
    section.append(make("p", "hint", "Raft::view shows nothing, so logs are not known."));
    return;
  }
  const states = known.map((s) => ({
    s, up: recording.states.isUp(s, event), memory: recording.states.at(s, event),
    disk: recording.states.hasDisk(s, event) ? recording.states.at(s, event, "disk") : null,
  }));
  if (states.every((e) => lastOf(e.memory).index === 0)) section.append(make("p", "hint", "All logs are empty."));
  const columns = indexes(app, states);
  const table = make("table", "grid");
  const head = make("tr", "");
  head.append(make("th", "", ""));
  if (columns.hidden) head.append(make("th", "", "…"));
  columns.list.forEach((i) => head.append(make("th", "", String(i))));
  table.append(make("thead", "", head));
  const body = make("tbody");
  const leader = states.filter((e) => e.up && e.memory.role === "leader").sort((a, b) => b.memory.term - a.memory.term)[0];
  for (const entry of states) {
    body.append(memoryRow(app, entry, columns, states));
    if (entry.disk && !sameLog(entry.disk, entry.memory)) body.append(diskRow(entry, columns));
    const follower = leader?.memory.followers.find(([s]) => s === entry.s);
    if (follower) body.append(markRow(leader, follower, columns));
  }
  table.append(body);
  section.append(table);
  if (columns.hidden) section.append(make("p", "hint", `… stands for i1 to i${columns.list[0] - 1}${columns.same ? ", which are the same on all" : ""}.`));
  section.append(make("p", "hint", "Number and colour: the entry's term. Bar below: committed. Dot: applied. Dashed: differs from another log. Thick red: differs where both have committed."));
  section.scrollLeft = scroll;
}

/// The indexes worth seeing: the end of the logs, or round what the verdict names.
function indexes(app, states) {
  const lasts = states.map((e) => lastOf(e.memory).index);
  const top = Math.max(1, ...lasts);
  const room = columnsThatFit();
  let to = top;
  const named = app.story.subject.index;
  if (named !== null && named !== undefined && named <= top) to = Math.min(top, named + Math.floor(room / 3));
  const from = Math.max(1, to - room + 1);
  const list = [];
  for (let i = from; i <= to; i++) list.push(i);
  const same = from > 1 && states.every((e) => termAt(e.memory, from - 1) === undefined || termAt(e.memory, from - 1) === termAt(states[0].memory, from - 1));
  return { list, hidden: from > 1, same };
}

function sameLog(a, b) {
  return a.base[0] === b.base[0] && a.log.length === b.log.length && a.log.every((term, i) => term === b.log[i]);
}

function memoryRow(app, { s, up, memory }, columns, states) {
  const row = make("tr");
  const button = make("button", "", `S${s}`);
  button.setAttribute("aria-pressed", String(s === app.server));
  button.addEventListener("click", () => app.choose(s));
  const role = up ? { leader: "●", candidate: "◐", follower: "○" }[memory.role] : "✝";
  row.append(make("th", "", button, `${role} T${memory.term}`));
  if (columns.hidden) row.append(make("td", "", ""));
  for (const i of columns.list) {
    const term = termAt(memory, i);
    const td = make("td");
    if (i <= memory.base[0]) {
      td.className = "cell snap";
      td.textContent = i === memory.base[0] ? String(memory.base[1]) : "";
      td.title = `in the snapshot up to T${memory.base[1]}:i${memory.base[0]}`;
    } else if (term !== undefined) {
      td.className = "cell";
      td.textContent = String(term);
      td.style.background = termColour(term);
      td.classList.add(i <= memory.commit ? "committed" : "open");
      const other = states.find((e) => e.s !== s && termAt(e.memory, i) !== undefined && termAt(e.memory, i) !== term && i > e.memory.base[0]);
      if (other) {
        const rival = states.find((e) => e.s !== s && i <= e.memory.commit && termAt(e.memory, i) !== undefined && termAt(e.memory, i) !== term);
        td.classList.add(rival && i <= memory.commit ? "broken" : "clash");
        td.title = `S${(rival ?? other).s} has T${termAt((rival ?? other).memory, i)} here`;
      }
      if (i === app.story.subject.index) td.classList.add("named");
      if (i <= memory.applied) td.append(make("span", "applied"));
    }
    row.append(td);
  }
  return row;
}

function diskRow({ disk }, columns) {
  const row = make("tr", "disk");
  row.append(make("th", "", "on its disk"));
  if (columns.hidden) row.append(make("td", "", ""));
  for (const i of columns.list) {
    const term = termAt(disk, i);
    const td = make("td");
    if (i <= disk.base[0]) td.className = "cell snap";
    else if (term !== undefined) {
      td.className = "cell";
      td.textContent = String(term);
      td.style.background = termColour(term);
    }
    row.append(td);
  }
  return row;
}

/// Where the leader believes the follower to be.
function markRow(leader, [, next, match], columns) {
  const row = make("tr", "mark");
  row.append(make("th", "", `S${leader.s}: next ${next}, match ${match}`));
  if (columns.hidden) row.append(make("td", "", ""));
  for (const i of columns.list) row.append(make("td", "", (i === match ? "✓" : "") + (i === next ? "▸" : "")));
  return row;
}
