// --- the run, indexed for looking things up --------------------------------------------------------

/// What a page of a run needs, from what was recorded.
class Recording {
  constructor(run) {
    this.run = run;
    this.servers = run.servers;
    this.end = Math.max(run.end, 1);
    this.messages = this.flatten();
    this.byArrival = this.messages.filter((m) => m.arrived !== undefined).sort((a, b) => a.arrived - b.arrived);
    this.states = new States(run);
    this.links = this.outages();
    this.moments = this.collect();
    this.byServer = [...Array(this.servers)].map((_, s) => this.moments.filter((m) => m.server === s));
    this.faults = this.moments.filter((m) => m.fault);
    this.maxFlight = this.messages.reduce((most, m) => Math.max(most, (m.lastArrival ?? m.sent) - m.sent), 0);
  }

  name(peer) {
    return this.run.peers[peer] ?? "?";
  }

  method(call) {
    return this.run.methods[call.method] ?? "?";
  }

  content(leg) {
    return leg && leg.content !== undefined ? this.run.contents[leg.content] : undefined;
  }

  /// Every request and reply as one list, by the time it left.
  flatten() {
    const { run } = this;
    const least = new Map();
    run.calls.forEach((call) => {
      least.set(call.method, Math.min(least.get(call.method) ?? Infinity, call.request.bytes));
    });
    const messages = [];
    run.calls.forEach((call, i) => {
      const text = this.content(call.request);
      const appends = /Append/i.test(this.method(call));
      const empty = text === undefined ? call.request.bytes === least.get(call.method) : !/\[[^\]]/.test(text);
      const beat = appends && empty;
      const add = (leg, from, to, reply) => {
        const copies = reply ? [] : call.copies ?? [];
        const lastArrival = copies.length ? Math.max(leg.arrived ?? 0, ...copies) : leg.arrived;
        messages.push({
          call: i, from, to, reply, beat, sent: leg.sent, arrived: leg.arrived, fate: leg.fate ?? "usual",
          copies, lastArrival, kind: kindOf(this.method(call)),
        });
      };
      add(call.request, call.from, call.to, false);
      if (call.reply) add(call.reply, call.to, call.from, true);
    });
    return messages.sort((a, b) => a.sent - b.sent);
  }

  /// For each directed link that was ever down after the start, when it was down.
  outages() {
    const since = new Map(), links = new Map();
    const close = (key, to) => {
      if (!since.has(key)) return;
      const from = since.get(key);
      since.delete(key);
      if (to - from < 1000 && from < 1000) return; // before the servers start
      if (!links.has(key)) links.set(key, []);
      links.get(key).push({ from, to });
    };
    for (const event of this.run.events) {
      // (Strings have a method of that name.)
      if (typeof event.what === "string" || !event.what.link) continue;
      const { link } = event.what;
      const key = event.server * 64 + link.to;
      if (link.up) close(key, event.at);
      else if (!since.has(key)) since.set(key, event.at);
    }
    for (const key of [...since.keys()]) close(key, this.end);
    return [...links.entries()].sort((a, b) => a[0] - b[0])
      .map(([key, down]) => ({ from: key >> 6, to: key & 63, down }));
  }

  /// The moments that one steps through: events in words, without heartbeats and single links.
  collect() {
    const moments = [];
    this.run.events.forEach((event, i) => {
      const kind = kindOfEvent(event);
      if (kind === "link") return; // the fault row says what they have in common
      moments.push(new Moment(event.at, event.server, { event: i, kind }, () => describe(event)));
    });
    this.messages.forEach((m) => {
      if (m.beat || m.reply && m.arrived === undefined) return;
      const what = this.method(this.run.calls[m.call]).replace(/^\w+\./, "");
      const name = m.reply ? `answer to ${what}` : what;
      if (m.reply) {
        const text = () => `has the ${name} from ${this.name(m.from)}: ${this.brief(m)}`;
        moments.push(new Moment(m.arrived, m.to, { call: m.call, kind: "message" }, text));
      } else {
        const fate = { lost: ", which is lost", no_path: ", which finds no path", late: ", which comes too late" }[m.fate] ?? "";
        const text = () => `sends ${name} to ${this.name(m.to)}${fate}: ${this.brief(m)}`;
        moments.push(new Moment(m.sent, m.from, { call: m.call, kind: "message" }, text));
      }
    });
    moments.sort((a, b) => a.at - b.at || (a.event ?? 1e9) - (b.event ?? 1e9));
    moments.forEach((moment, i) => (moment.i = i));
    return moments;
  }

  /// A message's contents in few words: numbers and words without JSON's noise.
  brief(m) {
    const call = this.run.calls[m.call];
    const text = this.content(m.reply ? call.reply : call.request);
    if (text === undefined) return "";
    const short = text.replace(/"(\w+)":/g, "$1 ").replace(/[{}"]/g, "").replace(/,/g, ", ");
    return short.length > 150 ? short.slice(0, 150) + "…" : short;
  }
}

/// A place to stop at; its words are made when somebody reads them.
class Moment {
  constructor(at, server, { event, call, kind }, words) {
    this.at = at;
    this.server = server;
    this.event = event;
    this.call = call;
    this.kind = kind;
    this.fault = kind === "crashed" || kind === "fault" || kind === "started" && at > 1000;
    this.words = words;
  }

  get text() {
    return (this.said ??= this.words());
  }
}

function kindOf(method) {
  if (/vote/i.test(method)) return "vote";
  if (/append/i.test(method)) return "append";
  if (/snapshot|install/i.test(method)) return "install";
  return "client";
}

function kindOfEvent(event) {
  if (typeof event.what === "string") return event.what;
  for (const kind in event.what) return kind;
}

/// An event in words.
function describe(event) {
  const what = event.what;
  if (what === "started") return event.at > 1000 ? "starts from its disk" : "starts";
  if (what === "crashed") return "crashes";
  if (what.state) return describeChange(what.state);
  if (what.applied) return `applies T${what.applied.term}:i${what.applied.index} ${what.applied.command}`;
  if (what.closed) return `holds its lock until ${seconds(what.closed.until)}`;
  if (what.installed) return `installs a snapshot up to T${what.installed.term}:i${what.installed.index}`;
  if (what.snapshot) return `is given a snapshot up to i${what.snapshot.index}`;
  if (what.command) return `takes ${what.command.command} as T${what.command.term}:i${what.command.index}`;
  if (what.fault) return what.fault;
  if (what.test) return what.test;
  if (what.log) return `[${what.log.topic}] ${what.log.text}`;
  if (what.saved) {
    const disk = what.saved.disk && Object.keys(what.saved.disk).length && describeChange(what.saved.disk);
    return `saves ${number(what.saved.bytes)} bytes` + (disk ? `: ${disk}` : "");
  }
  return kindOfEvent(event);
}

function describeChange(change) {
  const parts = [];
  if (change.term !== undefined) parts.push(`T${change.term}`);
  if (change.role) parts.push({ leader: "leads", candidate: "asks for votes", follower: "follows" }[change.role]);
  if (change.leader !== undefined && change.leader >= 0) parts.push(`its leader is S${change.leader}`);
  if (change.vote !== undefined) parts.push(change.vote < 0 ? "no vote" : `vote for S${change.vote}`);
  if (change.base) parts.push(`snapshot up to T${change.base[1]}:i${change.base[0]}`);
  if (change.log) {
    const [kept, terms] = change.log;
    parts.push(terms.length ? `log to T${terms[terms.length - 1]}:i${kept + terms.length}` : `log cut after i${kept}`);
  }
  if (change.commit !== undefined) parts.push(`commit i${change.commit}`);
  if (change.applied !== undefined) parts.push(`applied i${change.applied}`);
  if (!parts.length && change.followers) {
    parts.push("match " + change.followers.map(([s, next, match]) => `S${s}:${match}`).join(" "));
  }
  return parts.join(", ") || "knows no leader";
}
