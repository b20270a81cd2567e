// --- colours, from the page's style ----------------------------------------------------------------

const colours = {};

function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["back", "soft", "line", "text", "dim", "bad", "bad-back", "warn", "warn-back", "good",
    "vote", "append", "install", "client", "mark", "sat", "light"]) {
    colours[name] = style.getPropertyValue("--" + name).trim();
  }
}

/// Neighbouring terms get hues far from each other.
function termColour(term, alpha = 1) {
  if (!term) return `hsl(220 8% ${colours.light} / ${alpha})`;
  return `hsl(${(term * 137.5 + 195) % 360} ${colours.sat} ${colours.light} / ${alpha})`;
}
