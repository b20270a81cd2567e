// --- time to pixels, with idle stretches folded ----------------------------------------------------

/// A stretch in which nothing but heartbeats happens is folded if it is longer than this.
const IDLE = 60e3;

/// A map between true time and folded time: piecewise linear, both increasing.
class Axis {
  constructor(busy, end) {
    this.end = end;
    this.all = [];
    let last = 0;
    const stretch = (to) => {
      const length = to - last;
      if (length > IDLE) this.all.push({ from: last + IDLE / 6, to: to - IDLE / 6 });
    };
    for (const at of busy) {
      stretch(at);
      last = Math.max(last, at);
    }
    stretch(end);
    this.fold(true);
  }

  fold(folded) {
    this.folded = folded;
    this.folds = folded ? this.all : [];
    this.knots = [{ t: 0, u: 0 }];
    let u = 0, t = 0;
    for (const { from, to } of this.folds) {
      u += from - t;
      this.knots.push({ t: from, u });
      u += 8e3 + 3e3 * Math.log2(1 + (to - from) / IDLE);
      this.knots.push({ t: to, u });
      t = to;
    }
    u += this.end - t;
    this.knots.push({ t: this.end, u });
    this.length = Math.max(u, 1);
  }

  toU(t) {
    return this.between(t, "t", "u");
  }

  toT(u) {
    return this.between(u, "u", "t");
  }

  between(value, from, to) {
    const { knots } = this;
    const i = Math.max(1, Math.min(knots.length - 1, partition(knots, (k) => k[from] > value)));
    const a = knots[i - 1], b = knots[i];
    const length = b[from] - a[from];
    return length > 0 ? a[to] + ((value - a[from]) / length) * (b[to] - a[to]) : b[to];
  }
}

/// What part of the run is on screen.
class View {
  constructor(axis, left) {
    this.axis = axis;
    this.left = left;
    this.width = 100;
    this.from = 0;
    this.to = axis.length;
  }

  x(t) {
    return this.left + ((this.axis.toU(t) - this.from) / (this.to - this.from)) * (this.width - this.left);
  }

  t(x) {
    return this.axis.toT(this.from + ((x - this.left) / (this.width - this.left)) * (this.to - this.from));
  }

  get firstTime() {
    return this.axis.toT(this.from);
  }

  get lastTime() {
    return this.axis.toT(this.to);
  }

  set(from, to) {
    const least = Math.max(to - from, 200);
    const margin = Math.min(least, this.axis.length) * 0.03 + 100;
    const length = Math.min(least, this.axis.length + 2 * margin);
    const start = Math.min(Math.max(from, -margin), this.axis.length + margin - length);
    this.from = start;
    this.to = start + length;
  }

  zoom(by, x) {
    const u = this.from + ((x - this.left) / (this.width - this.left)) * (this.to - this.from);
    this.set(u - (u - this.from) / by, u + (this.to - u) / by);
  }

  pan(part) {
    const by = (this.to - this.from) * part;
    this.set(this.from + by, this.to + by);
  }

  /// Moves so that a time is well inside.
  reveal(t) {
    const u = this.axis.toU(t), length = this.to - this.from;
    if (u < this.from || u > this.to) this.set(u - length / 2, u + length / 2);
  }

  frame(from, to) {
    const [a, b] = [this.axis.toU(from), this.axis.toU(to)];
    const margin = Math.max((b - a) * 0.12, 2e3);
    this.set(a - margin, b + margin);
  }
}

/// Round numbers for the ticks of an axis.
function tickStep(length, room) {
  const wanted = (length * 95) / Math.max(room, 1);
  const power = 10 ** Math.floor(Math.log10(Math.max(wanted, 1)));
  return [1, 2, 5, 10].map((n) => n * power).find((step) => step >= wanted) ?? power * 10;
}
