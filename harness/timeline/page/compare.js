// --- this run beside another one ------------------------------------------------------------------------

/// What happened, without when: two runs are the same as long as these are.
function tokens(recording) {
  const list = [];
  recording.run.events.forEach((event, i) => {
    const kind = kindOfEvent(event);
    if (kind === "log" || kind === "saved" || kind === "test") return;
    const text = kind === "link" ? JSON.stringify(event.what) : describe(event);
    list.push({ at: event.at, server: event.server, event: i, key: `${event.server} ${text}`, text });
  });
  recording.messages.forEach((m) => {
    if (m.reply && m.arrived === undefined) return;
    const name = recording.method(recording.run.calls[m.call]);
    const text = `${m.reply ? "answer to " : ""}${name} ${recording.name(m.from)} to ${recording.name(m.to)}: ${recording.brief(m)}`;
    list.push({ at: m.sent, server: m.from, key: `${text} ${m.fate}`, text });
  });
  return list.sort((a, b) => a.at - b.at || (a.event ?? 1e9) - (b.event ?? 1e9));
}

class Comparison {
  constructor(one, other) {
    this.other = other;
    this.sameSeed = one.run.seed === other.run.seed && one.run.test === other.run.test;
    const [a, b] = [tokens(one), tokens(other)];
    // With one seed even the times are the same up to the difference; else what each server does is compared.
    const key = (token) => (this.sameSeed ? token.at + " " : "") + token.key;
    let n = 0;
    while (n < a.length && n < b.length && key(a[n]) === key(b[n])) n++;
    this.equal = n;
    this.here = a[n];
    this.there = b[n];
  }

  get sentence() {
    if (!this.here && !this.there) return "Both runs are the same.";
    const show = (token, of) => (token ? `${of} ${token.server !== undefined ? "S" + token.server + " " : ""}${token.text} (${seconds(token.at)})` : `${of} is over`);
    const note = this.sameSeed ? "" : " The seeds differ, so times are not compared, and the first difference may mean little.";
    return `After ${number(this.equal)} equal events: ${show(this.here, "this run:")}; ${show(this.there, "the other:")}.${note}`;
  }

  drawMark(lanes) {
    const token = lanes.recording === this.other ? this.there : this.here;
    if (!token) return;
    const x = lanes.view.x(token.at);
    if (x < LEFT) return;
    const { c } = lanes;
    c.strokeStyle = colours.mark;
    c.lineWidth = 2;
    lanes.line(x, 20, x, lanes.height);
    c.lineWidth = 1;
    lanes.text("first difference", x + 4, lanes.height - 8, { size: 10, colour: colours.mark, bold: true });
  }
}
