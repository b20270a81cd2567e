// --- what each server is in at a time --------------------------------------------------------------

/// A state is kept after so many changes.
const KEYFRAME = 256;

function emptyState() {
  return { term: 0, role: "follower", leader: -1, vote: -1, base: [0, 0], log: [], commit: 0, applied: 0, followers: [] };
}

/// Makes a change, in place: logs are long, and changes many.
function change(state, by) {
  for (const field of ["term", "role", "leader", "vote", "commit", "applied", "followers"]) {
    if (by[field] !== undefined) state[field] = by[field];
  }
  if (by.base) {
    state.log.splice(0, Math.max(0, by.base[0] - state.base[0]));
    state.base = by.base;
  }
  if (by.log) {
    const [kept, terms] = by.log;
    state.log.length = Math.min(state.log.length, Math.max(0, kept - state.base[0]));
    for (const term of terms) state.log.push(term);
  }
}

function copy(state) {
  return { ...state, log: state.log.slice() };
}

function lastOf(state) {
  return { index: state.base[0] + state.log.length, term: state.log.length ? state.log[state.log.length - 1] : state.base[1] };
}

function termAt(state, index) {
  if (index === state.base[0]) return state.base[1];
  return state.log[index - state.base[0] - 1];
}

/// The changes of each server's memory and disk, and the states between them.
class States {
  constructor(run) {
    this.tracks = [...Array(run.servers)].map(() => ({ memory: [], disk: [], life: [], frames: new Map(), saves: [], marks: [] }));
    run.events.forEach((event, i) => {
      const track = this.tracks[event.server];
      if (!track) return;
      const { what, at } = event;
      if (what === "started" || what === "crashed") {
        track.life.push({ at, up: what === "started", event: i });
        if (what === "started") track.memory.push({ at, event: i, reset: true });
      } else if (what.state) {
        track.memory.push({ at, event: i, by: what.state });
        if (what.state.commit !== undefined) track.marks.push({ at, event: i, kind: "commit", index: what.state.commit });
      } else if (what.saved) {
        track.saves.push({ at, event: i, bytes: what.saved.bytes });
        if (what.saved.disk) track.disk.push({ at, event: i, by: what.saved.disk });
        else track.disk.push({ at, event: i, reset: true });
      } else if (what.applied) {
        track.marks.push({ at, event: i, kind: "applied", index: what.applied.index });
      } else if (what.installed || what.snapshot) {
        track.marks.push({ at, event: i, kind: "snapshot", index: (what.installed ?? what.snapshot).index });
      }
    });
    this.derived = new Set(run.derived ?? []);
    this.bands = this.tracks.map((track) => bands(track, run.end));
  }

  /// State of a server's "memory" or "disk" after all events up to number `event`.
  at(server, event, where = "memory") {
    const list = this.tracks[server][where];
    return this.nth(server, where, partition(list, (entry) => entry.event > event));
  }

  /// The same without the last change before that.
  before(server, event) {
    const list = this.tracks[server].memory;
    return this.nth(server, "memory", Math.max(0, partition(list, (entry) => entry.event > event) - 1));
  }

  nth(server, where, n) {
    const { frames, [where]: list } = this.tracks[server];
    let from = Math.floor(n / KEYFRAME) * KEYFRAME, state = null;
    while (from > 0 && !(state = frames.get(where + from))) from -= KEYFRAME;
    state = state ? copy(state) : emptyState();
    for (let i = from; i < n; i++) {
      if (list[i].reset) state = emptyState();
      else change(state, list[i].by);
      if ((i + 1) % KEYFRAME === 0) frames.set(where + (i + 1), copy(state));
    }
    return state;
  }

  isUp(server, event) {
    const { life } = this.tracks[server];
    const n = partition(life, (entry) => entry.event > event);
    return n > 0 && life[n - 1].up;
  }

  /// Has anything been seen of this server's insides?
  isKnown(server) {
    return !this.isDerived(server) && this.tracks[server].memory.some((entry) => entry.by);
  }

  /// Are its role and term only what its messages tell?
  isDerived(server) {
    return this.derived.has(server);
  }

  hasDisk(server, event) {
    const { disk } = this.tracks[server];
    const n = partition(disk, (entry) => entry.event > event);
    return n > 0 && !disk[n - 1].reset;
  }
}

/// Stretches of one term and role, for the lanes.
function bands(track, end) {
  const list = [];
  let now = null;
  const close = (at) => {
    if (now) list.push({ ...now, to: at });
    now = null;
  };
  const entries = [...track.memory, ...track.life.filter((l) => !l.up).map((l) => ({ ...l, down: true }))]
    .sort((a, b) => a.event - b.event);
  let state = { term: 0, role: "follower" };
  for (const entry of entries) {
    if (entry.down) {
      close(entry.at);
      continue;
    }
    const next = entry.reset ? { term: 0, role: "follower" }
      : { term: entry.by.term ?? state.term, role: entry.by.role ?? state.role };
    if (!now || next.term !== state.term || next.role !== state.role) {
      close(entry.at);
      now = { from: entry.at, term: next.term, role: next.role };
    }
    state = next;
  }
  close(end);
  return list;
}
