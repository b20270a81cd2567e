// --- small things ---------------------------------------------------------------------------------

const $ = (id) => document.getElementById(id);

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/// The first place in a sorted list at which `after(item)` holds.
function partition(list, after) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (after(list[middle])) high = middle;
    else low = middle + 1;
  }
  return low;
}

/// A time as the printed report shows it, with as many digits as needed.
function seconds(t, digits = 6) {
  return (t / 1e6).toFixed(digits) + " s";
}

/// A length of time, short.
function span(t) {
  if (t >= 1e6) return (t / 1e6).toFixed(t < 1e7 ? 2 : 1) + " s";
  if (t >= 1e3) return (t / 1e3).toFixed(t < 1e4 ? 1 : 0) + " ms";
  return Math.round(t) + " µs";
}

const numbers = new Intl.NumberFormat("en");

function number(n) {
  return numbers.format(n);
}

/// From base64 of compressed JSON.
async function unpack(text) {
  const binary = atob(text.trim());
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}
